#!/usr/bin/env bash
# Sets up .venv and runs every test, test files side by side, one thread each; with arguments, what they tell pytest to run.
source "$(dirname "$0")/common.sh"
make_venv test
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
[ $# -gt 0 ] || set -- -n auto --dist loadfile
exec "$PYTHON" -m pytest "$@"
