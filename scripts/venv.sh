#!/bin/sh
# Makes .venv with the project and its pinned dependencies; does nothing when it is up to date.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/ready
[ -f "$stamp" ] && [ "$stamp" -nt pyproject.toml ] && [ "$stamp" -nt constraints.txt ] && exit 0

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "Python 3.11 or later is needed; '$python' is not. Name another one: make PYTHON=python3.12 ..." >&2
    exit 1
}
if [ ! -x .venv/bin/pip ] && ! "$python" -m venv .venv 2>/dev/null; then
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y python3-venv; } >/dev/null 2>&1
        "$python" -m venv .venv
    else
        echo "Python's venv module is missing; run: sudo apt-get install -y python3-venv" >&2
        exit 1
    fi
fi
echo "Installing Python packages into .venv (once, about a minute)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
touch "$stamp"
