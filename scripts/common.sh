# Shared by every script: where the project is, its Python, and how a stage of a protocol is run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The project's own environment if there is one, else whatever Python is active.
PYTHON=$(command -v python || command -v python3)
[ -x .venv/bin/python ] && PYTHON=.venv/bin/python

# make_venv [EXTRA,...]: create .venv and install the project into it with these extras of pyproject.toml; done again only
# when the requirements change.
make_venv() {
    local extras=${1:+[$1]} stamp=.venv/installed-${1:-core}
    if [ ! -x .venv/bin/python ]; then
        echo "Creating .venv ..."
        "${BOOTSTRAP_PYTHON:-$PYTHON}" -m venv .venv
    fi
    if ! cat pyproject.toml requirements.txt | cmp -s - "$stamp"; then
        echo "Installing mmrl$extras (some minutes the first time) ..."
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".$extras"
        cat pyproject.toml requirements.txt > "$stamp"
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
