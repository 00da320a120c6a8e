#!/usr/bin/env bash
# Make an environment with a real Triton Inference Server for the tests: scripts/triton.sh [FOLDER]
# nvidia-pytriton brings the server's own binary, without its ONNX backend: ONNX Runtime stands behind it in
# the Python backend. That embeds Debian's Python, so its standard library must be Debian's too.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-build/triton}
[ -e "$folder/.ready" ] && exit 0
python=/usr/bin/python3
if ! "$python" -c 'import sys; raise SystemExit(not ((3, 10) <= sys.version_info[:2] <= (3, 13)))' 2>/dev/null; then
    echo "Triton's Python backend needs the system's Python 3.10 to 3.13; the tests with Triton are skipped by name." >&2
    [ "${CI:-}" = true ] && exit 1
    exit 0
fi
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! ldconfig -p | grep -q "libpython$version.so" ; then
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "libpython$version" >/dev/null
fi
if [ -e "$folder" ] && [ ! -e "$folder/pyvenv.cfg" ]; then
    echo "$folder is there and is no environment: it is left alone." >&2
    exit 1
fi
rm -rf "$folder"
mkdir -p "$(dirname "$folder")"
if ! "$python" -m venv "$folder" >/dev/null 2>&1; then
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3-venv >/dev/null
    rm -rf "$folder"
    "$python" -m venv "$folder"
fi
echo "Installing a Triton Inference Server into $folder (about 400 MB) ..." >&2
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check nvidia-pytriton==0.7.0 "onnxruntime<2" "numpy<2.3"
touch "$folder/.ready"
