#!/usr/bin/env bash
# Builds the wheel, installs it into a fresh environment beside Hugging Face `datasets` and a package called `clip`, and
# runs every command there, away from the clone. OpenAI's clip is on no package index: a stand-in of its top-level name
# takes its place. What the wheel requires comes from .venv, so that torch is not installed twice.
source "$(dirname "$0")/common.sh"
make_venv requirements-test.txt

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
heavy=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
pip="$work/env/bin/python -m pip --quiet --disable-pip-version-check"

"$PYTHON" -m pip --quiet --disable-pip-version-check wheel --no-deps --wheel-dir "$work" .
"$PYTHON" -m venv "$work/env"
site=$("$work/env/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
echo "$heavy" > "$site/heavy.pth"  # behind site-packages on sys.path
mkdir -p "$work/stand-in/clip"
echo 'OWNER = "OpenAI stand-in"' > "$work/stand-in/clip/__init__.py"
cat > "$work/stand-in/pyproject.toml" <<'TOML'
[project]
name = "clip"
version = "1.0"
[tool.setuptools]
packages = ["clip"]
TOML
$pip install "$work"/mmrl-*.whl "$work/stand-in" datasets
cd "$work"
"$work/env/bin/python" -I "$OLDPWD/tools/check_wheel.py" "$work"/mmrl-*.whl
