#!/usr/bin/env bash
# Sets up .venv and runs all tests, several files at a time with one thread each; arguments go to pytest instead.
source "$(dirname "$0")/common.sh"
make_venv test
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
[ $# -gt 0 ] || set -- -n auto --dist loadfile
exec "$PYTHON" -m pytest "$@"
