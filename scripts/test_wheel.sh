#!/usr/bin/env bash
# Builds the wheel, installs it into a fresh environment beside Hugging Face `datasets` and OpenAI's `clip`, and runs every
# command there, away from the clone. OpenAI releases its clip in a repository only; clip-anytorch is that code on the
# package index. What the wheel requires comes from .venv, so that torch is not installed twice.
source "$(dirname "$0")/common.sh"
make_venv test

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
heavy=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
pip="$work/env/bin/python -m pip --quiet --disable-pip-version-check"

"$PYTHON" -m pip --quiet --disable-pip-version-check wheel --no-deps --wheel-dir "$work" .
"$PYTHON" -m venv "$work/env"
site=$("$work/env/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
echo "$heavy" > "$site/heavy.pth"  # after site-packages on sys.path
$pip install "$work"/mmrl-*.whl clip-anytorch datasets
$pip install --no-deps "setuptools<70"  # OpenAI's code imports pkg_resources.packaging, which later ones lack
cd "$work"
"$work/env/bin/python" -I "$OLDPWD/tools/check_wheel.py" "$work"/mmrl-*.whl

cd "$OLDPWD"
"$PYTHON" -m venv "$work/editable"
site=$("$work/editable/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
echo "$heavy" > "$site/heavy.pth"
"$work/editable/bin/python" -m pip --quiet --disable-pip-version-check install -e .
cd "$work"
"$work/editable/bin/mmrl" config MMRL caltech101_64 > /dev/null
"$work/editable/bin/python" -c 'import mmrl; mmrl.load; import trainers; print("The editable installation is fine.")'
