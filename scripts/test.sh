#!/usr/bin/env bash
# Sets up .venv and runs every test; arguments go to pytest. With pytest-xdist installed, OMP_NUM_THREADS=1 and
# `-n auto --dist loadfile` as arguments, test files run side by side: three and a half minutes on 16 cores.
source "$(dirname "$0")/common.sh"
make_venv test
exec "$PYTHON" -m pytest "$@"
