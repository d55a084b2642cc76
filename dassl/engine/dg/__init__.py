"""Upstream's trainers of domain generalization, none of which is here."""

from dassl.utils.absent import absent

NAMES = "Vanilla CrossGrad DDAIG DAELDG DomainMix"
__getattr__ = absent(__name__, NAMES.split(), "This engine trains CLIP methods.")
