"""Every file here without a leading underscore is a method; being here is being registered."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    if not (_module.ispkg or _module.name.startswith("_")):
        import_module(f"{__name__}.{_module.name}")
