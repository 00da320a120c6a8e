#!/usr/bin/env bash
# Install the system tools that the tests judge with, where this is allowed; name what is missing elsewhere.
#   scripts/tools.sh           for the tests: DCMTK, Orthanc and its DICOMweb plug-in
#   scripts/tools.sh judges    for all judges: PixelMed's validator of structured reports too (needs Java)
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
