#!/usr/bin/env bash
# Make an environment in which Flower and the node fit together, for the tests of federated training:
# scripts/federated.sh [VENV] [FOLDER]
# Its own packages are those of scripts/federated.txt; a .pth file puts those of VENV behind them, so that torch,
# MONAI and the node itself are not installed twice. What is there is not made again.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
folder=${2:-build/federated}
lock=scripts/federated.txt
python=$venv/bin/python
# Of which lock and of which environment it was made
made=$(cat "$lock" "$0" | sha256sum | cut -d' ' -f1)-$("$python" -c 'import sys; print(sys.prefix, sys.version_info[:2])')
[ -e "$folder/.ready" ] && [ "$(cat "$folder/.ready")" = "$made" ] && exit 0

if [ -e "$folder" ] && [ ! -e "$folder/pyvenv.cfg" ]; then
    echo "$folder is there and is no environment: it is left alone." >&2
    exit 1
fi
echo "Installing Flower into $folder (about 150 MB) ..." >&2
rm -rf "$folder"
mkdir -p "$(dirname "$folder")"
"$python" -m venv --without-pip "$folder"
"$python" -m pip --python "$folder/bin/python" install --quiet --disable-pip-version-check --no-deps \
    --only-binary=:all: -r "$lock"
"$python" - "$folder" <<'PYTHON'
"""Put the main environment behind the new one; an editable checkout of it is found by its own .pth file."""
import subprocess
import sys
import sysconfig
from pathlib import Path

ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
own = subprocess.run([f"{sys.argv[1]}/bin/python", "-c", ask], capture_output=True, text=True, check=True)
main = sysconfig.get_path("purelib")
Path(own.stdout.strip(), "main_environment.pth").write_text(f"import site; site.addsitedir({main!r})\n")
PYTHON
# Every version that Flower asks for, directly or not, is one that the new environment finds first
"$folder/bin/python" - <<'PYTHON'
import sys
from importlib import metadata

from packaging.requirements import Requirement

wrong, seen, asked = [], set(), [("flwr", frozenset())]
while asked:
    name, extras = asked.pop()
    if (name, extras) in seen:
        continue
    seen.add((name, extras))
    for line in metadata.requires(name) or ():
        wanted = Requirement(line)
        if wanted.marker and not any(wanted.marker.evaluate({"extra": extra}) for extra in (extras or {""})):
            continue
        try:
            found = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            found = None
        if found is None or not wanted.specifier.contains(found, prereleases=True):
            wrong.append(f"{name} wants {wanted}, and {found or 'none'} is there")
        else:
            asked.append((wanted.name, frozenset(wanted.extras)))
if wrong:
    sys.exit("\n".join(wrong))
import flwr, typer, rich, google.protobuf  # noqa: E401, E402
import dicomnode.cli.app  # noqa: E402, F401
PYTHON
echo "$made" > "$folder/.ready"
