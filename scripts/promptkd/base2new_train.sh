#!/usr/bin/env bash
# PromptKD, base-to-novel: DATASET [SEED] - train on the base classes and test on them.
source "$(dirname "$0")/../common.sh"
run_stage base2new train PromptKD "$@"
