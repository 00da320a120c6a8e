#!/usr/bin/env bash
# Install what the engine room's tests can use beyond the environment itself: scripts/machine.sh [VENV]
#   kernels     the fatbins of the node's own kernels (CUDA toolkit 13)
#   PyCUDA      built from source (CUDA headers, g++)
#   TensorRT    the bindings of 10.16 and 11.4, and TensorRT-RTX, which builds plans without a GPU
#   Triton      a real inference server
#   frameworks  torch, MONAI, nnU-Net, scikit-learn: what converted networks are compared with
#   Flower      in an environment of its own, with the older packages that it wants
# What cannot be had is named, and its tests are skipped by name; under CI=true it is a failure.
set -uo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
missing=()

scripts/kernels.sh || missing+=("kernels")
scripts/pycuda.sh "$venv" || missing+=("PyCUDA")
scripts/tensorrt.sh "$venv" || missing+=("TensorRT's bindings")
scripts/triton.sh || missing+=("Triton")
echo "Installing the frameworks that converted networks are compared with ..." >&2
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r scripts/frameworks.txt ||
    missing+=("frameworks")
scripts/federated.sh "$venv" || missing+=("Flower")

if [ ${#missing[@]} -gt 0 ]; then
    echo "Not installed: ${missing[*]}; what went wrong stands above." >&2
    [ "${CI:-}" = true ] && exit 1
fi
exit 0
