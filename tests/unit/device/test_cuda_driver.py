"""The test driver itself: it must notice what it is there to notice."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.device.cuda import CudaContext, CudaKernels, Stream
from dicomnode.device.launches import LAUNCHES
from dicomnode.faults import NodeError
from tests.fixtures.cuda_driver.child import STAND_IN, counted, on_test_driver


@on_test_driver()
def test_fresh_memory_holds_no_zeros():
    with CudaContext() as context:
        assert (context.empty((100,), np.uint8).host() == 0xA5).all()


@on_test_driver()
def test_a_missing_wait_between_two_streams_gives_wrong_numbers():
    with CudaContext() as context:
        other = Stream(context)
        buffer = context.empty((1000,), np.uint8)
        with context.working("filling it in another stream") as driver:
            driver.memset_d8_async(buffer.address, 7, 1000, other.raw)
        assert not (buffer.host() == 7).any(), "nobody waited for the other stream"
        context.stream.wait(other.mark())
        assert (buffer.host() == 7).all()


@on_test_driver()
def test_page_locked_memory_that_is_used_again_too_early_gives_wrong_numbers():
    with CudaContext() as context:
        block = context.pinned.take(1000)
        block[:] = 1
        buffer = context.empty((1000,), np.uint8)
        with context.working("copying") as driver:
            driver.memcpy_htod_async(buffer.address, block[:1000], context.stream.raw)
        block[:] = 2
        assert (buffer.host() == 2).all()


@on_test_driver(quiet=False)
def test_a_copy_beyond_an_allocation_breaks_the_device():
    with CudaContext() as context:
        address = context.zeros((16,), np.uint8).address
        with context.working("copying too much") as driver:
            driver.memcpy_htod_async(address, np.zeros(64, np.uint8), context.stream.raw)
        with pytest.raises(NodeError, match="an illegal memory access was encountered"):
            context.stream.synchronize()


@on_test_driver(quiet=False)
def test_a_kernel_that_writes_beyond_its_buffer_breaks_the_device():
    with CudaContext() as context:
        kernels = CudaKernels(context, STAND_IN)
        machine = kernels._machine
        values, out = context.zeros((64,), np.float32), context.zeros((16,), np.uint8)
        arguments = {"values": values.address, "mask": out.address, "count": 64, "above": 0.0}
        launch = LAUNCHES["dn_threshold"]
        machine.launch(launch, launch.grid(arguments), launch.in_order(arguments))
        with pytest.raises(NodeError, match="an illegal memory access was encountered"):
            context.stream.synchronize()


@on_test_driver()
def test_arguments_that_are_not_the_kernels_are_refused():
    with CudaContext() as context:
        machine = CudaKernels(context, STAND_IN)._machine
        function = machine._functions["dn_threshold"]
        with pytest.raises(NodeError, match="invalid argument"), context.working("launching"):
            function.prepare("Pi").prepared_async_call((1, 1, 1), (32, 1, 1), context.stream.raw, 0, 1)
        with pytest.raises(NodeError, match="invalid argument"), context.working("launching"):
            function.prepare(LAUNCHES["dn_threshold"].codes).prepared_async_call(
                (1, 1, 1), (2048, 1, 1), context.stream.raw, 0, 0, 1, 0.0
            )


@on_test_driver()
def test_what_is_left_behind_is_counted():
    with CudaContext() as context:
        with context.working("allocating beside the pool") as driver:
            left = driver.mem_alloc(1234)
        assert counted("used") == 1234
        context._parts.pop_all()  # nothing is freed: the context ends with it
    assert counted("bytes_left") == 1234
    del left
