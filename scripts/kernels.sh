#!/usr/bin/env bash
# Compiles dicomnode/device/kernels.cu for every GPU that the node knows:
#
#   dicomnode/device/fatbins/kernels-cu13.fatbin   with nvcc of CUDA 13, for drivers of CUDA 13 (580 and later)
#   dicomnode/device/fatbins/kernels-cu12.fatbin   with NVRTC of CUDA 12.9, for drivers of CUDA 12 (535 and later)
#
# Beside each lies KERNELS.sha256: the digests of the fatbin and of the source that it was made from.
# Usage: scripts/kernels.sh [--into FOLDER] [cu13] [cu12]
# Both, where none is named. What is up to date is not made again.
# Needs nvcc and fatbinary of CUDA 13 on PATH. NVRTC of CUDA 12.9 (a wheel of 77 MB) goes to build/nvrtc-cu12.
set -euo pipefail
cd "$(dirname "$0")/.."

SOURCE=dicomnode/device/kernels.cu
OUT=dicomnode/device/fatbins
ARCHITECTURES="75 80 86 89 90 100 120"
PTX=75                  # what GPUs to come are given; it runs on every later one
NVRTC=nvidia-cuda-nvrtc-cu12==12.9.86
NVRTC_HOME=build/nvrtc-cu12
PYTHON=${PYTHON:-python3}

stop() { echo "kernels: $*" >&2; exit 1; }
digest() { sha256sum "$1" | cut -d ' ' -f 1; }

up_to_date() {  # FATBIN
    [[ -f $1 && -f $1.sha256 ]] && [[ $(<"$1.sha256") == "$(sums "$1")" ]]
}

sums() {  # FATBIN: as the loader reads them
    printf '%s  %s\n' "$(digest "$1")" "$(basename "$1")" "$(digest $SOURCE)" "$(basename $SOURCE)"
}

put() {  # MADE FATBIN: digests last, so that what is half there is never taken for whole
    rm -f "$2.sha256"
    mv "$1" "$2"
    sums "$2" >"$WORK/sums"
    mv "$WORK/sums" "$2.sha256"
    echo "kernels: $2, $(stat -c %s "$2") bytes"
}

# -fmad=false: products and sums are rounded as they are written, on every GPU as on the host.
make_cu13() {  # FATBIN
    local targets=() arch
    for arch in $ARCHITECTURES; do targets+=(-gencode "arch=compute_$arch,code=sm_$arch"); done
    targets+=(-gencode "arch=compute_$PTX,code=compute_$PTX")
    nvcc -O3 -std=c++17 -fmad=false -fatbin --compress-mode=size --threads 0 "${targets[@]}" \
        -o "$WORK/cu13" $SOURCE || stop "nvcc refused $SOURCE"
    put "$WORK/cu13" "$1"
}

# CUDA 12 comes as a wheel without nvcc, but with NVRTC, which compiles for a GPU without one. Not compressed:
# the drivers of 535 are older than the ways in which CUDA 13 compresses.
make_cu12() {  # FATBIN
    local images=() arch library
    library=$(find $NVRTC_HOME -name 'libnvrtc.so.12' 2>/dev/null | head -n 1 || true)
    if [[ -z $library ]]; then
        # The environment that a wheel is built in has no pip of its own
        local pip=("$PYTHON" -m pip)
        "${pip[@]}" --version >/dev/null 2>&1 || pip=(pip)
        "${pip[@]}" install --quiet --no-deps --target $NVRTC_HOME $NVRTC || stop "$NVRTC cannot be had"
        library=$(find $NVRTC_HOME -name 'libnvrtc.so.12' | head -n 1)
    fi
    # shellcheck disable=SC2086  # one word an architecture
    "$PYTHON" scripts/nvrtc.py "$library" $SOURCE "$WORK" $PTX $ARCHITECTURES || stop "NVRTC refused $SOURCE"
    for arch in $ARCHITECTURES; do images+=("--image3=kind=elf,sm=$arch,file=$WORK/sm_$arch.cubin"); done
    images+=("--image3=kind=ptx,sm=$PTX,file=$WORK/compute_$PTX.ptx")
    fatbinary --64 --compress-mode=none --create="$WORK/cu12" "${images[@]}" || stop "fatbinary failed"
    put "$WORK/cu12" "$1"
}

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
if [[ ${1:-} == --into ]]; then
    OUT=$2
    shift 2
fi
mkdir -p "$OUT"
[[ $# -gt 0 ]] || set -- cu13 cu12
for name in "$@"; do
    [[ $name == cu1[23] ]] || stop "there is no $name; say cu12 or cu13"
    if up_to_date "$OUT/kernels-$name.fatbin"; then
        echo "kernels: $OUT/kernels-$name.fatbin is up to date"
    else
        for tool in nvcc fatbinary; do
            command -v $tool >/dev/null || stop "$tool of the CUDA 13 toolkit is not on PATH"
        done
        "make_$name" "$OUT/kernels-$name.fatbin"
    fi
done
