"""Keys of plans for tests."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from dicomnode.engine.plans import GpuIdentity, PlanKey

NETWORK = b"the bytes of a network"
GPU = GpuIdentity(
    name="NVIDIA H200", compute_capability=(9, 0), multiprocessors=132, memory_bytes=150_754_820_096
)
KEY = PlanKey(
    engine="lung-ct",
    network="nodules.onnx",
    onnx_sha256=hashlib.sha256(NETWORK).hexdigest(),
    precision="fp32",
    flavour="tensorrt",
    version="11.4.0.106",
    gpu=GPU,
    driver="580.65.06",
    cuda_runtime="13.0",
    options={"workspace_bytes": 1 << 30, "tf32": False, "profiles": [["x", [1, 1, 96, 96, 96]]]},
)


def changed(**changes: object) -> PlanKey:
    return replace(KEY, **changes)
