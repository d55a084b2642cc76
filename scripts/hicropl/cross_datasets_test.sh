#!/usr/bin/env bash
# HiCroPL, cross-dataset: DATASET [SEED] - test on another dataset what cross_datasets_train.sh trained.
source "$(dirname "$0")/../common.sh"
run_stage cross_dataset test HiCroPL "$@"
