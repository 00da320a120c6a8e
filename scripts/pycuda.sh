#!/usr/bin/env bash
# Build PyCUDA and install it into an environment: scripts/pycuda.sh [VENV]
# PyCUDA comes as source only. It needs a C++ compiler and the headers of CUDA 13 (cuda.h), no GPU and no
# driver. The wheel is made once (some two minutes) and kept in build/pycuda by version, Python and CUDA.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
python=$(cd "$venv/bin" && pwd)/python

missing() { echo "PyCUDA cannot be built here: $1" >&2; exit 10; }

version=$(sed -n 's/^pycuda==//p' constraints.txt)
[ -n "$version" ] || missing "constraints.txt names no version of it (pycuda==...)."
for tool in gcc g++ readelf; do
    command -v $tool >/dev/null || missing "$tool is not there. Run: sudo apt-get install g++ binutils"
done

# The toolkit's own folder: an nvcc on the PATH may be a wrapper that stands elsewhere, so that its parent
# has no headers.
cuda=""
nvcc=$(command -v nvcc || true)
for candidate in "${CUDA_ROOT:-}" "${CUDA_HOME:-}" "${nvcc:+$(dirname "$(dirname "$(readlink -f "$nvcc")")")}" \
    /usr/local/cuda /usr/local/cuda-13* /opt/cuda /usr/lib/cuda; do
    if [ -n "$candidate" ] && [ -e "$candidate/include/cuda.h" ]; then cuda=$candidate; break; fi
done
[ -n "$cuda" ] || missing "no CUDA toolkit was found (include/cuda.h). Install the CUDA toolkit 13 \
(package cuda-toolkit-13-0 of NVIDIA's repository), or name its folder: CUDA_ROOT=/path/to/cuda $0 $venv"
[ -e "$cuda/include/cudaProfiler.h" ] || missing "$cuda/include has no cudaProfiler.h (package cuda-profiler-api)."
release=$(sed -n 's/^#define CUDA_VERSION *//p' "$cuda/include/cuda.h")

tag=$("$python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
kept=$PWD/build/pycuda/cuda$release
mkdir -p "$kept"
exec 9>"$kept/.lock"
flock 9
wheel() { ls "$kept/pycuda-$version-$tag-"*.whl 2>/dev/null | head -n 1; }

if [ -z "$(wheel)" ]; then
    echo "Building PyCUDA $version for $tag against $cuda (some two minutes, once) ..." >&2
    work=$(mktemp -d "$kept/making.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    "$python" -m pip download --quiet --no-deps --no-binary pycuda --dest "$work" "pycuda==$version"
    tar -xzf "$work/pycuda-$version.tar.gz" -C "$work"

    # The driver's library comes with the driver. To link against, a library of its name that defines every
    # symbol of cuda.h is enough, and needed: the linker drops one that defines nothing, and the wheel
    # would then fail on a machine with a GPU too (undefined symbol: cuArrayCreate_v2).
    grep -ohE '\bcu[A-Z][A-Za-z0-9_]*' "$cuda/include/cuda.h" "$cuda/include/cudaProfiler.h" | sort -u |
        sed 's/.*/int &(void) { return 999; }/' > "$work/stub.c"
    gcc -shared -fPIC -fno-builtin -Wl,-soname,libcuda.so.1 -o "$work/libcuda.so" "$work/stub.c"

    # cuRAND is a library more that nothing here uses.
    cat > "$work/pycuda-$version/siteconf.py" <<END
CUDA_ROOT = "$cuda"
CUDA_ENABLE_CURAND = False
CUDADRV_LIB_DIR = ["$work"]
CXXFLAGS = ["-w"]
END
    log=$work/log
    "$python" -m pip wheel --no-deps --no-cache-dir --wheel-dir "$work/made" "$work/pycuda-$version" > "$log" 2>&1 || {
        tail -n 40 "$log" >&2
        missing "the compiler refused it (above)."
    }
    (cd "$work" && "$python" -m zipfile -e made/*.whl unpacked)
    readelf -d "$work"/unpacked/pycuda/_driver*.so | grep -q 'NEEDED.*libcuda\.so\.1' ||
        missing "the wheel does not ask for libcuda.so.1: it would fail on every machine."
    mv "$work"/made/*.whl "$kept/"
fi

"$python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt "$(wheel)"
