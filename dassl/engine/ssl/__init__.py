"""Upstream's trainers of semi-supervised learning, none of which is here."""

from dassl.utils.absent import absent

NAMES = "SupBaseline MixMatch FixMatch EntMin MeanTeacher"
__getattr__ = absent(__name__, NAMES.split(), "This engine trains CLIP methods.")
