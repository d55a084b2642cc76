#!/usr/bin/env bash
# Builds the documentation into ./site; arguments go to mkdocs. While writing, `mkdocs serve` shows it in a browser.
source "$(dirname "$0")/common.sh"
make_venv docs
NO_MKDOCS_2_WARNING=1 exec "$PYTHON" -m mkdocs build --strict "$@"
