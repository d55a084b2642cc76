#!/usr/bin/env bash
# Sets up .venv, runs zero-shot CLIP, CoOp, MaPLe, MMRL and MMRL++ base-to-novel on the embedded images and CLIP, one run
# on each core, and prints a table.
source "$(dirname "$0")/common.sh"
make_venv
exec "$PYTHON" -m runs.quickstart "$@"
