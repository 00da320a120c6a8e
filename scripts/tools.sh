#!/usr/bin/env bash
# Install the system tools that the tests judge with, where this is allowed; name what is missing elsewhere.
#   scripts/tools.sh           for the tests: DCMTK, Orthanc and its DICOMweb plug-in
#   scripts/tools.sh judges    for all judges: PixelMed's validator of structured reports too (needs Java); the
#                              libraries that OHIF reads and draws results with (where Node and npm are there), and
#                              Chromium, which they draw in
set -euo pipefail
missing=()
want() { [ -e "$1" ] || command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || missing+=("$2"); }
want storescu dcmtk
want Orthanc orthanc
want /usr/share/orthanc/plugins/libOrthancDicomWeb.so orthanc-dicomweb
if [ "${1:-}" = judges ]; then
    want javac default-jdk-headless
    want /usr/share/java/pixelmed.jar libpixelmed-java
    want /usr/share/java/Saxon-HE.jar libsaxonhe-java
    want chromium chromium
fi
if [ "${1:-}" = judges ] && command -v node >/dev/null && command -v npm >/dev/null; then
    adapters="$(dirname "$0")/../build/cornerstone"
    if [ ! -d "$adapters/node_modules/@cornerstonejs/adapters" ] || [ ! -d "$adapters/node_modules/esbuild" ]; then
        mkdir -p "$adapters"
        echo "Installing cornerstone below build/ ..." >&2
        # @babel/runtime: the adapters need it and do not say so. events, url: for a browser, which has none of Node
        npm install --prefix "$adapters" --ignore-scripts --no-audit --no-fund --no-save --loglevel=error \
            dcmjs@0.52.0 @cornerstonejs/core@5.14.0 @cornerstonejs/adapters@5.14.0 @cornerstonejs/tools@5.14.0 \
            @babel/runtime@8.1.2 esbuild@0.28.2 events@3.3.0 url@0.11.4 >/dev/null ||
            echo "They could not be installed; the tests that need them are skipped by name." >&2
    fi
fi
[ ${#missing[@]} = 0 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing ${missing[*]} (tools that the tests judge with) ..." >&2
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >/dev/null
    # Debian's package starts Orthanc as a service; the tests start their own on a free port
    if [ -d /run/systemd/system ] && [[ " ${missing[*]} " == *" orthanc "* ]]; then
        systemctl disable --now orthanc >/dev/null 2>&1 || true
    fi
elif [ "${CI:-}" = true ]; then
    echo "Missing: ${missing[*]}, and they cannot be installed here (not root, or no apt-get)." >&2
    exit 1
else
    echo "Missing: ${missing[*]}; the tests that need them are skipped by name." >&2
    echo "To have them: sudo apt-get install ${missing[*]}" >&2
fi
