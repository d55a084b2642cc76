#!/usr/bin/env bash
# Installs the optional parts into .venv, and Chromium where that is possible, and runs the tests that skip themselves
# without them; arguments go to pytest.
source "$(dirname "$0")/common.sh"
make_venv all,test
if ! command -v chromium google-chrome > /dev/null && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium) > /dev/null ||
        echo "Chromium could not be installed: tests in a browser are skipped." >&2
fi
exec "$PYTHON" -m pytest -m extras -rs "$@"
