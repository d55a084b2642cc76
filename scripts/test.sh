#!/usr/bin/env bash
# Sets up .venv and runs every test; arguments go to pytest.
source "$(dirname "$0")/common.sh"
make_venv requirements-test.txt
exec "$PYTHON" -m pytest "$@"
