"""The contract of the kernels on the CUDA device that is there: the test driver's, or a real one.

Not found by pytest of itself, since it needs a driver when the process starts. `test_cuda_kernels.py` runs it
on the test driver; on a machine with a GPU: pytest tests/unit/device/kernels_on_cuda.py
"""

from __future__ import annotations

import pytest

from dicomnode.device.cuda import CudaContext, CudaKernels
from tests.fixtures.cuda_driver.child import compiled_kernels
from tests.unit.device.kernels_contract import KernelsContract


class TestCudaKernels(KernelsContract):
    """On CUDA."""

    @pytest.fixture(scope="class")
    @classmethod
    def kernels(cls):
        with CudaContext() as context:
            yield CudaKernels(context, compiled_kernels())
