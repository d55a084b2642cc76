"""The configuration tree and where its values come from."""

from dassl.config.builder import ConfigBuilder, ConfigError
from dassl.config.defaults import clean_cfg, get_cfg_default

__all__ = ["ConfigBuilder", "ConfigError", "clean_cfg", "get_cfg_default"]
