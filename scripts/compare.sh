#!/usr/bin/env bash
# Trains and tests methods base-to-novel and prints a table: DATASET [SEED] [--methods NAME ...]. Complete runs are kept.
source "$(dirname "$0")/common.sh"
exec "$PYTHON" -m runs.compare "$@"
