#!/usr/bin/env bash
# Make the project's own environment: scripts/setup.sh FOLDER [extra ...]
# Works on a bare Debian or Ubuntu with Python 3.11 to 3.13; says what is missing where it may not install it.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
shift
extras=$(IFS=,; echo "$*")

fits() { "$1" -c 'import sys; raise SystemExit(not ((3, 11) <= sys.version_info[:2] <= (3, 13)))' 2>/dev/null; }

python=""
for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null && fits "$candidate"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    echo "dicomnode needs Python 3.11, 3.12 or 3.13; none was found. Install one, or name it: make PYTHON=/path/to/python3" >&2
    exit 10
fi

if [ ! -x "$venv/bin/python" ] || ! fits "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    rm -rf "$venv"
    if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
        # Debian keeps ensurepip in a package of its own
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get update -q >/dev/null
            DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3-venv >/dev/null
            rm -rf "$venv"
            "$python" -m venv "$venv"
        else
            echo "This Python cannot make environments. Run: sudo apt-get install python3-venv" >&2
            exit 10
        fi
    fi
fi

echo "Installing into $venv (a minute or two the first time) ..." >&2
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
    --editable ".${extras:+[$extras]}"
