"""Upstream's trainers of domain adaptation, none of which is here."""

from dassl.utils.absent import absent

NAMES = "SourceOnly MCD MME DANN AdaBN M3SDA SelfEnsembling SE ADDA DAEL CDAC"
__getattr__ = absent(__name__, NAMES.split(), "This engine trains CLIP methods.")
