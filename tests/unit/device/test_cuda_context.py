"""The context on the test driver: who may use it, what goes up and down, what fails, how it ends."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from dicomnode.device.cuda import CudaContext, CudaKernels, ends_process
from dicomnode.faults import CUDA_BROKEN, CUDA_FAILED, CUDA_MEMORY, CUDA_MISSING, CUDA_UNFIT, NodeError
from tests.fixtures.cuda_driver.child import STAND_IN, counted, on_test_driver, set_driver

_MB = 1 << 20


@on_test_driver(DEVICES=3, NAME="Test GPU", MEMORY=256 * _MB)
def test_a_device_is_opened_by_number_or_uuid():
    with CudaContext(1) as context:
        device = context.device
        assert (device.name, device.kind, device.index, device.memory_bytes) == (
            "Test GPU",
            "cuda",
            1,
            256 * _MB,
        )
        assert device.compute_capability == (9, 0)
        assert device.driver.endswith("CUDA 13.0") or device.driver.endswith("(CUDA 13.0)")
    with CudaContext("GPU-7e570000-0000-4000-8000-000000000002") as context:
        assert context.device.index == 2
        assert context.multiprocessors == 4
        assert context.cuda_version == 13_000
    with pytest.raises(NodeError, match=r"no device 3; this process sees: 0 Test GPU GPU-7e57") as caught:
        CudaContext(3)
    assert caught.value.fault is CUDA_MISSING


@on_test_driver(INIT=100)
def test_no_device_is_a_sentence():
    with pytest.raises(NodeError, match="no CUDA-capable device is detected") as caught:
        CudaContext()
    assert caught.value.fault is CUDA_MISSING


@on_test_driver()
def test_after_the_end_nothing_of_it_is_left():
    with CudaContext() as context:
        held = [context.upload(np.ones((40, 512, 512), np.int16)), context.zeros((10,), np.float32)]
        CudaKernels(context, STAND_IN)
        assert counted("stack") == 1
        assert counted("used") > 20 * _MB
    assert not any(counted(name) for name in ("used", "retained", "streams", "pinned", "events", "stack"))
    assert counted("bytes_left") == 0  # freed by name, not swept away with the context
    for buffer in held:
        with pytest.raises(ValueError, match="is closed"):
            buffer.host()
        buffer.close()
    context.close()
    with pytest.raises(ValueError, match="is closed"):
        context.memory()


@on_test_driver()
def test_a_process_that_forgets_to_close_ends_well():
    context = CudaContext()
    context.upload(np.ones(100_000))


@on_test_driver()
def test_a_context_may_be_opened_again_and_again():
    for _ in range(5):
        with CudaContext() as context:
            assert context.upload(np.arange(5)).host().tolist() == [0, 1, 2, 3, 4]
        assert counted("stack") == 0


@on_test_driver()
def test_endings_come_latest_first_and_before_memory_is_freed():
    order = []
    with CudaContext() as context:
        context.zeros((100,), np.uint8)
        for name in ("engine", "execution context"):
            context.before_close(lambda name=name: order.append((name, counted("used") > 0)))
    assert order == [("execution context", True), ("engine", True)]


@on_test_driver()
def test_another_thread_is_refused_and_the_owner_goes_on():
    with CudaContext() as context:
        buffer = context.upload(np.arange(6))
        refused: list[str] = []

        def try_it() -> None:
            for use in (context.memory, buffer.host, buffer.close, context.close):
                with pytest.raises(RuntimeError, match="belongs to another thread") as caught:
                    use()
                refused.append(str(caught.value))

        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
        assert len(refused) == 4
        assert buffer.host().tolist() == list(range(6))


@on_test_driver()
def test_a_context_lives_in_the_thread_that_opened_it():
    seen = []

    def work() -> None:
        with CudaContext() as context:
            seen.append(context.upload(np.arange(3)).host().sum())

    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [3, 3]


@on_test_driver()
def test_arrays_of_any_size_come_back_as_they_went():
    rng = np.random.default_rng(7)
    with CudaContext(pinned_limit_bytes=3 * _MB) as context:
        for shape, dtype in [
            ((), np.float64),
            ((0, 5), np.int16),
            ((1,), np.uint8),
            ((65_536,), np.uint8),
            ((65_537,), np.uint8),
            ((3, 1024, 513), np.float32),  # one chunk of 1.5 MB, several, and a part of one
            ((40, 200, 201), np.int16),
        ]:
            array = (rng.random(shape) * 100).astype(dtype)
            buffer = context.upload(array)
            assert (buffer.shape, buffer.dtype, buffer.nbytes, buffer.place) == (
                shape,
                array.dtype,
                array.nbytes,
                "cuda",
            )
            down = buffer.host()
            assert np.array_equal(down, array)
            assert not down.flags.writeable
            buffer.close()
        turned = np.arange(24).reshape(2, 3, 4).T
        assert np.array_equal(context.upload(turned).host(), turned)
        assert not context.zeros((5, 5), np.int32).host().any()
        assert counted("pinned") <= 3 * _MB


@on_test_driver()
def test_an_array_may_be_changed_once_upload_returns():
    # The test driver copies as late as it may: what is not taken before is seen here
    with CudaContext(pinned_limit_bytes=_MB) as context:
        for size in (100, 70_000, 3_000_000):
            array = np.full(size, 7, np.uint8)
            buffer = context.upload(array)
            array[:] = 9
            assert (buffer.host() == 7).all(), size


@on_test_driver()
def test_memory_that_is_given_out_again_waits_for_its_last_user():
    with CudaContext() as context:
        kernels = CudaKernels(context, STAND_IN)
        first = kernels.upload(np.full((50, 100, 100), 3, np.float32))
        result = kernels.scale_clip(first, slope=2.0, low=0.0, high=100.0)  # queued, not done
        first.close()
        second = kernels.upload(np.full((50, 100, 100), 40, np.float32))
        assert counted("allocations") == 2, "the second lies where the first did"
        assert (result.host() == 6).all()
        assert (second.host() == 40).all()


@on_test_driver()
def test_views_share_the_memory_and_end_with_it():
    with CudaContext() as context:
        buffer = context.upload(np.arange(24, dtype=np.int32).reshape(2, 3, 4))
        part = buffer.part(1)
        assert part.host().tolist() == (np.arange(12) + 12).reshape(3, 4).tolist()
        assert part.part(2).host().tolist() == [20, 21, 22, 23]
        assert buffer.reshaped((6, 4)).part(5).host().tolist() == [20, 21, 22, 23]
        part.close()
        assert buffer.host().shape == (2, 3, 4)
        other = context.upload(np.arange(24))
        seen = other.reshaped((4, 6)).reshaped((2, 12))
        used = context.pool.used
        seen.close()
        seen.close()
        assert context.pool.used < used
        with pytest.raises(ValueError, match="is closed"):
            other.host()
        buffer.part(0).reshaped((12,)).close()
        assert buffer.host().shape == (2, 3, 4)
        late = buffer.part(0)
        buffer.close()
        for use in (late.host, buffer.host, lambda: buffer.part(0)):
            with pytest.raises(ValueError, match="is closed"):
                use()
        with pytest.raises(ValueError, match="no entry 2"):
            context.zeros((2, 2), np.int8).part(2)
        with pytest.raises(ValueError, match="cannot be seen"):
            context.zeros((2, 2), np.int8).reshaped((3,))


@on_test_driver()
def test_a_volume_goes_up_once_and_a_mask_comes_down_once():
    volume = np.random.default_rng(3).integers(-1000, 1000, (60, 120, 130), np.int16)
    with CudaContext() as context:
        kernels = CudaKernels(context, STAND_IN)
        up = kernels.upload(volume)
        assert (context.traffic.arrays_up, context.traffic.bytes_up) == (1, volume.nbytes)
        values = kernels.scale_clip(up, low=-500.0, high=500.0)
        mask = kernels.threshold(kernels.z_score(values, mean=0.0, std=100.0), 4.5)
        labels, _ = kernels.components(mask)
        box = kernels.extent(mask)
        assert box is not None
        before = context.traffic
        bits = kernels.pack_bits(mask, box)
        packed = bits.host()
        came = context.traffic - before
        assert (came.arrays_up, came.arrays_down, came.bytes_down) == (0, 1, packed.nbytes)
        assert context.traffic.bytes_up < 1.01 * volume.nbytes
        assert context.traffic.bytes_down < 0.2 * volume.nbytes
        assert (counted("bytes_up"), counted("bytes_down")) == (
            context.traffic.bytes_up,
            context.traffic.bytes_down,
        )
        labels.close()


@on_test_driver(MEMORY=64 * _MB, NAME="Test GPU")
def test_too_much_is_a_row_that_is_tried_again_and_leaves_the_memory_as_it_was():
    with CudaContext() as context:
        context.upload(np.zeros(8 * _MB, np.uint8)).close()
        assert (context.pool.used, context.pool.held) == (0, 8 * _MB + 8 * _MB // 16 - 1)
        base = context.zeros((4 * _MB,), np.uint8)
        for _ in range(3):
            with pytest.raises(NodeError) as caught:
                context.empty((100, _MB), np.uint8)
            assert caught.value.fault is CUDA_MEMORY
            assert "Test GPU ran out of memory while allocating 104.9 MB: this process uses 4" in str(
                caught.value
            )
            assert caught.value.fault.retry == "backoff"
            assert not ends_process(caught.value)
            assert (context.pool.used, context.pool.peak) == (4 * _MB, context.pool.peak)
        assert counted("used") == 4 * _MB + 4 * _MB // 16 - 1, "what was held was given back first"
        assert context.memory().free == 64 * _MB - counted("used")
        whole = context.zeros((50 * _MB,), np.uint8)
        whole.close()
        context.pool.free_held()
        assert (context.pool.held, base.host().any()) == (4 * _MB // 16 - 1, False)


@on_test_driver(PINNED=0)
def test_host_memory_that_cannot_be_page_locked_is_a_row():
    with CudaContext() as context:
        with pytest.raises(NodeError, match=r"page-locking 8\.4 MB of host memory") as caught:
            context.upload(np.zeros(_MB, np.uint8))
        assert caught.value.fault is CUDA_MEMORY
        assert context.upload(np.arange(9)).host().sum() == 36  # little goes without


@on_test_driver()
def test_page_locked_memory_has_a_limit_and_is_used_again():
    with CudaContext(pinned_limit_bytes=_MB) as context:
        pool = context.pinned
        first = pool.take(600_000)
        assert (pool.used, pool.held) == (600_000, 0)
        with pytest.raises(ValueError, match="pass the limit of 1048576: 600000 are in use"):
            pool.take(600_000)
        pool.give_back(first)
        assert (pool.used, pool.held) == (0, 600_000)
        assert pool.take(500_000) is first
        pool.give_back(first)
        assert pool.take(900_000).nbytes == 900_000
        assert pool.held == 0
    with pytest.raises(ValueError, match="limit_bytes"):
        CudaContext(pinned_limit_bytes=1)
    assert counted("retained") == 0


@on_test_driver()
def test_buffers_that_nobody_closed_are_found_by_the_owner():
    with CudaContext() as context:
        dropped = [context.zeros((_MB,), np.uint8)]
        thread = threading.Thread(target=dropped.clear)  # the collector may run on any thread
        thread.start()
        thread.join()
        assert context.pool.used == _MB
        context.zeros((8,), np.uint8).close()
        assert context.pool.used == 0


@on_test_driver(MEMORY=64 * _MB)
def test_a_full_device_finds_buffers_that_only_the_collector_sees():
    with CudaContext() as context:
        gc.disable()
        cycle: list[object] = [context.zeros((40 * _MB,), np.uint8)]
        cycle.append(cycle)
        del cycle
        assert context.empty((45 * _MB,), np.uint8).nbytes == 45 * _MB


@on_test_driver()
def test_two_hundred_rounds_do_not_grow():
    volume = np.random.default_rng(5).random((20, 64, 65), np.float32)
    sizes = set()
    with CudaContext() as context:
        kernels = CudaKernels(context, STAND_IN)
        for n in range(200):
            up = kernels.upload(volume)
            mask = kernels.threshold(up, 0.5)
            labels, _ = kernels.components(mask)
            for buffer in (up, mask, labels):
                buffer.close()
            if n:
                sizes.add((counted("used"), counted("pinned"), counted("events"), context.pool.peak))
        assert context.pool.used == 0
    assert len(sizes) == 1


@on_test_driver(quiet=False)
@pytest.mark.parametrize("code", [214, 700, 702, 716, 718, 719, 999])
def test_after_a_failure_for_good_every_call_says_that_the_process_must_end(code):
    set_driver("FAULT", code)
    set_driver("FAULT_AT", 2)
    with CudaContext() as context:
        kernels = CudaKernels(context, STAND_IN)
        values = kernels.upload(np.ones((4, 4, 4), np.float32))
        mask = kernels.threshold(kernels.z_score(values, mean=0.0, std=1.0), 0.0)
        with pytest.raises(NodeError) as first:
            mask.host()
        assert context.broken
        assert (first.value.fault, first.value.fault.retry) == (CUDA_BROKEN, "backoff")
        for use in (
            values.host,
            context.memory,
            lambda: kernels.threshold(values, 0.0),
            context.pool.free_held,
        ):
            with pytest.raises(NodeError, match="cannot use it any more and must end") as later:
                use()
            assert ends_process(later.value)
            assert str(later.value) == str(first.value)
    assert counted("retained") == 0


@on_test_driver(quiet=False, FAULT=700, FAULT_AT=1)
def test_a_failure_that_only_the_end_brings_to_light_is_told():
    context = CudaContext()
    kernels = CudaKernels(context, STAND_IN)
    kernels.threshold(kernels.zeros((9, 9, 9), np.float32), 0.0)
    with pytest.raises(NodeError) as caught:
        context.close()
    assert ends_process(caught.value)
    assert counted("retained") == 0


@pytest.mark.parametrize("code", [200, 209, 222])
@on_test_driver()
def test_kernels_that_do_not_fit_are_a_row_and_the_context_stays(code):
    set_driver("REFUSE_MODULE", code)
    with CudaContext() as context:
        with pytest.raises(NodeError) as caught:
            CudaKernels(context, STAND_IN)
        assert caught.value.fault is CUDA_UNFIT
        set_driver("REFUSE_MODULE", 0)
        with pytest.raises(NodeError, match="image is invalid"):
            CudaKernels(context, b"no fatbin" + bytes(60))
        assert context.upload(np.arange(3)).host().sum() == 3


@on_test_driver()
def test_what_pycuda_refuses_is_a_row_that_does_not_end_the_process():
    with CudaContext() as context:
        with (
            pytest.raises(
                NodeError, match="failed while trying: cuMemsetD8Async failed: invalid arg"
            ) as caught,
            context.working("trying") as driver,
        ):
            raise driver.LogicError("cuMemsetD8Async failed: invalid argument")
        assert caught.value.fault is CUDA_FAILED
        assert not context.broken


@on_test_driver()
def test_streams_wait_for_each_others_events():
    with CudaContext() as context:
        kernels = CudaKernels(context, STAND_IN)
        other = type(context.stream)(context)
        assert other.handle not in (0, context.stream.handle)
        begun = context.stream.mark()
        kernels.zeros((100, 100), np.float32)
        ended = context.stream.mark()
        other.wait(ended)
        after = other.mark()
        after.synchronize()
        assert (begun.done, ended.done) == (True, True)
        other.close()
