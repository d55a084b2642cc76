#!/usr/bin/env bash
# Methods side by side, base-to-novel: DATASET [SEED] [--methods NAME ...] - runs what is not complete, prints a table.
source "$(dirname "$0")/common.sh"
exec "$PYTHON" -m runs.compare "$@"
