"""Cache folders of the user, also in a container, where a user may have neither name nor home folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def home_cache() -> Path:
    """Return `.cache` in the user's home folder; without one, a folder of the user's number among temporary files."""
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"cache-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def user_cache() -> Path:
    """Return the folder that XDG_CACHE_HOME names, else `home_cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or home_cache())
