"""The configuration tree and where its values come from."""

from dassl.config.defaults import clean_cfg, get_cfg_default
from dassl.config.provenance import ConfigBuilder, ConfigError

__all__ = ["ConfigBuilder", "ConfigError", "clean_cfg", "get_cfg_default"]
