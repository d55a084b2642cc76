# Shared by every script: where the project is, its Python, and how a stage of a protocol is run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The project's own environment if there is one, else whatever Python is active.
PYTHON=python3
[ -x .venv/bin/python ] && PYTHON=.venv/bin/python

# make_venv REQUIREMENTS: create .venv and install; done again only when the file changes.
make_venv() {
    local stamp=.venv/installed-$1
    if [ ! -x .venv/bin/python ]; then
        echo "Creating .venv ..."
        "${BOOTSTRAP_PYTHON:-python3}" -m venv .venv
    fi
    if ! cat requirements*.txt | cmp -s - "$stamp"; then
        echo "Installing $1 (some minutes the first time) ..."
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$1"
        cat requirements*.txt > "$stamp"
    fi
    PYTHON=.venv/bin/python
}

# run_stage PROTOCOL STAGE TRAINER DATASET [SEED] [train.py arguments ...]
# DATA: folder of the datasets (./data). CFG: another config of the method. OUTPUT: another output folder.
run_stage() {
    if [ $# -lt 4 ] || [ "${4#-}" != "$4" ]; then
        echo "usage: bash $0 DATASET [SEED] [train.py arguments ...]   (DATASET: a name of configs/datasets)" >&2
        exit 2
    fi
    exec "$PYTHON" -m runs.launch "$@"
}

# run_source TRAINER [DATASET] [SEED] [...]: the source of cross-dataset evaluation, ImageNet unless named.
run_source() {
    local trainer=$1
    shift
    case "${1:-}" in
        "" | -* | *.* | [0-9]*) set -- imagenet "$@" ;;
    esac
    run_stage cross_dataset train "$trainer" "$@"
}
