#!/usr/bin/env bash
# PromptKD, base-to-novel: DATASET [SEED] - test on the new classes what base2new_train.sh trained.
source "$(dirname "$0")/../common.sh"
run_stage base2new test PromptKD "$@"
