#!/usr/bin/env bash
# PromptKD, cross-dataset: [DATASET] [SEED] - train on the source, ImageNet unless named.
source "$(dirname "$0")/../common.sh"
run_source PromptKD "$@"
