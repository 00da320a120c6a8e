#!/usr/bin/env bash
# Fetch what the tests hold the TensorRT code against, into build/tensorrt: scripts/tensorrt.sh [VENV]
#   10, 11   the Python bindings of TensorRT 10.16 and 11.4 with empty libraries: classes and signatures only
#   rtx      TensorRT-RTX 1.7, whole: it parses and builds without a GPU (96 MB; NVIDIA's licence: not to be
#            copied into the repository, a wheel or an image that is published)
#   types    the types of all three, read off from them
# Nothing goes into the environment. Needs a C compiler; no GPU, no driver. What is there is not fetched again.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
python=$(cd "$venv/bin" && pwd)/python
folder=$PWD/build/tensorrt

command -v gcc >/dev/null || { echo "gcc is not there. Run: sudo apt-get install gcc libc6-dev" >&2; exit 10; }
mkdir -p "$folder"
exec 9>"$folder/.lock"
flock 9

fetch() {  # FOLDER PACKAGE==VERSION ...: whole or not at all
    local into=$1
    shift
    [ -e "$into/.complete" ] && [ "$(cat "$into/.complete")" = "$*" ] && return
    echo "Fetching $* ..." >&2
    rm -rf "$into"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --target "$into" "$@"
    echo "$*" > "$into/.complete"
}

empty_libraries() {  # FOLDER MAJOR
    local source=tests/fixtures/tensorrt/no_tensorrt.c
    gcc -shared -fPIC -Wl,-soname,libnvinfer.so.$2 -o "$1/libnvinfer.so.$2" "$source"
    for library in nvonnxparser nvinfer_plugin; do
        gcc -shared -fPIC -Wl,-soname,lib$library.so.$2 -o "$1/lib$library.so.$2" -x c /dev/null
    done
}

types() {  # NAME MODULE: folders beside each other, so that one can be named to the type checker
    local into=$folder/types/$1
    [ "$into" -nt "$folder/$1/.complete" ] && return
    rm -rf "$into"
    # It warns of signatures that it cannot read; the test names those that matter
    LD_LIBRARY_PATH=$folder/$1 PYTHONPATH=$folder/$1:$folder/stubgen \
        "$python" -m pybind11_stubgen --output-dir "$into" "$2" >"$folder/types-$1.log" 2>&1 ||
        { cat "$folder/types-$1.log" >&2; exit 1; }
    touch "$into"
}

fetch "$folder/10" tensorrt-cu13-bindings==10.16.1.11
fetch "$folder/11" tensorrt-cu13-bindings==11.4.0.106
fetch "$folder/rtx" tensorrt-rtx-cu13-libs==1.7.1.116 tensorrt-rtx-cu13-bindings==1.7.1.116
fetch "$folder/stubgen" pybind11-stubgen==3.0.0
empty_libraries "$folder/10" 10
empty_libraries "$folder/11" 11
types 10 tensorrt_bindings
types 11 tensorrt_bindings
types rtx tensorrt_rtx_bindings
