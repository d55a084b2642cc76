#!/usr/bin/env bash
# CLIP with a prompt ensemble, cross-dataset: [DATASET] [SEED] - train on the source, ImageNet unless named.
source "$(dirname "$0")/../common.sh"
run_source ZeroshotCLIP2 "$@"
