#!/usr/bin/env bash
# PromptKD, few-shot: DATASET [SEED] - 1, 2, 4, 8 and 16 images of each class.
source "$(dirname "$0")/../common.sh"
run_stage few_shot train PromptKD "$@"
