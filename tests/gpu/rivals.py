"""Who is fastest on one network, in one run; and the shipped engine on the GPU, with what is around it."""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.gpu import plans
from tests.gpu.roofline import floor_ms, peak_of, works_of
from tests.gpu.steps import (
    Figures,
    NotRunError,
    context,
    gpu_ms,
    must,
    need,
    need_device,
    on_test_driver,
    sized,
)

ROUNDS: Final = 20
BATCH: Final = 4
_CHANNELS: Final = (16, 32, 64, 128)


def rivals() -> Figures:
    """MONAI's 3D U-Net: TensorRT (or RTX), ONNX Runtime CUDA, torch eager and compiled; rounds interleaved.

    Inputs and outputs lie on the device for all of them, but for ONNX Runtime's, which are bound there.
    """
    need_device()
    need("pycuda", "onnx")
    side = sized(96, 16)
    item = (1, side, side, side)
    ways: dict[str, Callable[[], object]] = {}
    left_out: dict[str, str] = {}
    net = _torch_net()
    if net is not None:
        try:
            content = _exported(net, side)
        except Exception as error:  # noqa: BLE001  the exporter of another version of torch: without torch then
            net, left_out["torch"] = None, f"its exporter fails: {str(error)[:200]}"
    if net is None:
        content = plans.unet(side, _CHANNELS if side == 96 else (2, 4))
    given = plans.noise(BATCH, item)
    with ExitStack() as stack, context() as cuda:
        bytes_per_s = _copy_rate(cuda)
        _add_tensorrt(cuda, content, item, given, (ways, left_out, stack))
        _add_onnxruntime(content, given, ways, left_out)
        _add_torch(net, given, ways, left_out)
        if not ways:
            raise NotRunError("; ".join(f"{name}: {why}" for name, why in left_out.items()))
        times = _interleaved(ways, sized(ROUNDS, 2))
        works = works_of(content, {"x": given.shape})
        peak = peak_of(cuda.device.name)
        floor = floor_ms(works, peak, bytes_per_s, 2)
        stack.close()
    return {
        "network": "MONAI 3D U-Net" if net is not None else "3D U-Net, drawn",
        "shape": list(given.shape),
        "gflop": round(sum(work.flops for work in works) / 1e9, 2),
        "roofline_fp16_ms": round(floor, 4),
        "roofline_of": "arithmetic and bytes" if peak else "bytes alone: this GPU is not in the table",
        "ways": {
            name: {"ms": round(ms, 3), "times_roofline": round(ms / floor, 2)} for name, ms in times.items()
        },
        "not_run": left_out,
    }


def _interleaved(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    for work in ways.values():
        for _ in range(3):
            work()
    for _ in range(rounds):
        for name, work in ways.items():
            begun = time.perf_counter()
            work()
            times[name].append(1e3 * (time.perf_counter() - begun))
    return {name: statistics.median(of_way) for name, of_way in times.items()}


def _copy_rate(cuda: Any) -> float:
    nbytes = sized(1 << 29, 1 << 16)
    source, target = cuda.zeros((nbytes,), np.uint8), cuda.empty((nbytes,), np.uint8)

    def copy() -> None:
        with cuda.working("copying") as driver:
            driver.memcpy_dtod_async(target.address, source.address, nbytes, cuda.stream.raw)

    rate = 2e3 * nbytes / gpu_ms(cuda, copy)
    source.close()
    target.close()
    cuda.pool.free_held()
    return rate


def _add_tensorrt(
    cuda: Any,
    content: bytes,
    item: tuple[int, ...],
    given: np.ndarray,
    into: tuple[dict[str, Callable[[], object]], dict[str, str], ExitStack],
) -> None:
    ways, left_out, stack = into
    from dicomnode.engine.runtimes.tensorrt import TENSORRT_RTX

    try:
        able = plans.capabilities()
    except NotRunError as reason:
        left_out["TensorRT"] = str(reason)
        return
    for name, capability in able.items():
        for precision in [one for one in ("fp16", "fp32") if one in capability.precisions]:
            ways[f"{name} {precision}"] = _way(
                cuda, plans.opened(cuda, capability, content, item, precision), given, stack
            )
        if name == TENSORRT_RTX.name and "fp16" in capability.precisions:
            with _without_graphs():
                opened = plans.opened(cuda, capability, content, item, "fp16")
                ways[f"{name} fp16, without CUDA graphs"] = _way(cuda, opened, given, stack)


def _way(
    cuda: Any, opened: AbstractContextManager[Any], given: np.ndarray, stack: ExitStack
) -> Callable[[], object]:
    session, _ = stack.enter_context(opened)
    there = cuda.upload(given)

    def run() -> None:
        for buffer in session.infer({"x": there}).values():
            buffer.close()
        cuda.stream.synchronize()

    return run


@contextmanager
def _without_graphs() -> Iterator[None]:
    """Let TensorRT-RTX run windows without capturing them, to see what that is worth."""
    from dicomnode.engine.runtimes.tensorrt import loaded

    configure = loaded._configure

    def without(trt: Any, config: Any, *, fixed: bool) -> None:
        configure(trt, config, fixed=fixed)
        config.cuda_graph_strategy = trt.CudaGraphStrategy.DISABLED

    loaded._configure = without
    try:
        yield
    finally:
        loaded._configure = configure


def _add_onnxruntime(
    content: bytes, given: np.ndarray, ways: dict[str, Callable[[], object]], left_out: dict[str, str]
) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        left_out["ONNX Runtime CUDA"] = f"onnxruntime {onnxruntime.__version__} here has no CUDA provider"
        return
    session = onnxruntime.InferenceSession(content, providers=["CUDAExecutionProvider"])
    if session.get_providers()[0] != "CUDAExecutionProvider":
        left_out["ONNX Runtime CUDA"] = "its CUDA provider does not load"
        return
    binding = session.io_binding()
    value = onnxruntime.OrtValue.ortvalue_from_numpy(given, "cuda", 0)
    binding.bind_ortvalue_input(session.get_inputs()[0].name, value)
    for output in session.get_outputs():
        binding.bind_output(output.name, "cuda", 0)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    ways["ONNX Runtime CUDA fp32"] = run


def _torch_net() -> Any:
    if on_test_driver() or any(importlib.util.find_spec(name) is None for name in ("torch", "monai")):
        return None
    from tests.bench.sliding import network

    return network()


def _exported(net: Any, side: int) -> bytes:
    import io

    import torch

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter: deprecated
        torch.onnx.export(
            net,
            (torch.zeros(1, 1, side, side, side),),
            file,
            opset_version=18,
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "n"}, "y": {0: "n"}},
        )
    return file.getvalue()


def _add_torch(
    net: Any, given: np.ndarray, ways: dict[str, Callable[[], object]], left_out: dict[str, str]
) -> None:
    if net is None:
        left_out.setdefault(
            "torch", "torch and MONAI are not both installed, or the driver is the test driver"
        )
        return
    import torch

    if not torch.cuda.is_available():
        left_out["torch"] = f"torch {torch.__version__} here sees no GPU"
        return
    there = torch.from_numpy(given).cuda()
    eager = net.cuda()
    for name, half in (("fp32", False), ("fp16", True)):

        def run(model: Any = eager, half: bool = half) -> None:
            with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=half):
                model(there)
            torch.cuda.synchronize()

        ways[f"torch eager {name}"] = run
        try:
            compiled = torch.compile(eager, dynamic=False)
            run(compiled)
        except Exception as error:  # noqa: BLE001  whatever its compiler says is a reason
            left_out[f"torch.compile {name}"] = str(error)[:200]
            continue
        ways[f"torch.compile {name}"] = lambda run=run, compiled=compiled: run(compiled)


def engine() -> Figures:
    """`engine build` and `engine bench` of lung-ct on each flavour that works: what is around the network."""
    able = plans.capabilities()
    need("gdcm")
    figures: Figures = {}
    from dicomnode.settings import template

    with tempfile.TemporaryDirectory() as folder:
        package = plans.the_engine(Path(folder))
        study = [] if not on_test_driver() else ["--study", _small_study(Path(folder))]
        of_engine = [package.manifest.name, "--config", str(Path(folder) / "dicomnode.toml"), "--json"]
        config = Path(folder) / "dicomnode.toml"
        text = template().replace('#path = "/var/lib/dicomnode"', f'path = "{folder}/store"', 1)
        config.write_text(text)
        _command("engine", "build", *of_engine, "--path", str(package.folder))
        for name in able:
            words = ["--path", str(package.folder), "--runtime", name, "--rounds", str(sized(10, 1)), *study]
            found = json.loads(_command("engine", "bench", *of_engine, *words))
            must(found["runtime"].startswith(name), "the runtime that was named", found["runtime"])
            kept = (
                "runtime",
                "precision",
                "device",
                "latency",
                "volumes_per_hour",
                "stages",
                "network",
                "plain",
            )
            more = ("around_percent", "starts", "first", "second", "peak_mb", "device_mb")
            figures[name] = {key: found[key] for key in (*kept, *more)}
    return figures


def _small_study(folder: Path) -> str:
    from dicomnode.phantom import demo_study

    return str(demo_study(folder / "phantom", size="small").files[0].parent)


def _command(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dicomnode", *words], capture_output=True, text=True, check=False
    )
    must(done.returncode == 0, f"dicomnode {' '.join(words[:2])}", (done.stdout + done.stderr)[-600:])
    return done.stdout
