#!/usr/bin/env bash
# Sets up .venv and runs every test, files side by side on up to four cores; arguments go to pytest.
source "$(dirname "$0")/common.sh"
make_venv requirements-test.txt
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"  # a core for each process: the models are too small for more
exec "$PYTHON" -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile "$@"
