"""Sliding windows against MONAI's: python -m tests.bench.sliding [--rounds N] [--json FILE].

One 3D U-Net (MONAI's own, seeded, not trained), one volume (a phantom), the same windows and weights. MONAI's
`sliding_window_inference` runs it in torch, and with our session inside; our windows run it in each runtime
that works here. Each way has a process of its own, rounds are interleaved; what comes out is compared.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.told import machine

WINDOW, OVERLAP = (96, 96, 96), 0.25
CHANNELS = (16, 32, 64, 128)
MM = 2.0


def network() -> Any:
    """MONAI's 3D U-Net with residual units and instance norm, three classes."""
    import torch
    from monai.networks.nets import UNet

    torch.manual_seed(0)
    return UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=3,
        channels=CHANNELS,
        strides=(2, 2, 2),
        num_res_units=1,
        norm="instance",
    ).eval()


def export(path: Path) -> None:
    """Write the network as ONNX with free lengths."""
    import torch

    free = {0: "n", 2: "k", 3: "j", 4: "i"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter: deprecated, and instance norm has no training mode
        torch.onnx.export(
            network(),
            (torch.zeros(1, 1, 32, 32, 32),),
            str(path),
            opset_version=18,
            dynamo=False,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": free, "logits": free},
        )


def volume() -> NDArray[np.float32]:
    """A phantom at 2 mm, scaled as networks like it."""
    from dicomnode.analyse.resample import Prepared, resample
    from dicomnode.phantom import thorax

    phantom = thorax(7)
    return resample(Prepared(phantom.voxels, phantom.grid), (MM, MM, MM)).voxels / np.float32(500.0)


def session(runtime: str, path: Path, threads: int) -> Any:
    """Load the network in a runtime of the node."""
    from dicomnode.engine.runtimes import RUNTIMES, Network, Reason

    one = next(one for one in RUNTIMES if one.name == runtime)
    capability = one.probe(threads)
    if isinstance(capability, Reason):
        raise SystemExit(f"{runtime}: {capability.text}")
    return one.load(Network(engine="bench", file=path.name, content=path.read_bytes()), capability)


def ours(runtime: str, path: Path, threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Our windows, by MONAI's rule."""
    from dicomnode.analyse.parallel import cores
    from dicomnode.analyse.window import infer_windows
    from dicomnode.engine import Window

    loaded = session(runtime, path, threads)
    window = Window(size_kji=WINDOW, overlap=OVERLAP, rule="monai")

    def run(box: NDArray[np.float32]) -> NDArray[np.float32]:
        with cores(threads):
            return infer_windows(loaded.run, {"image": box[np.newaxis]}, window)["logits"]

    return run


def monais(
    runtime: str | None, path: Path, threads: int, batch: int = 1
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """MONAI's windows over torch, or over a session of ours."""
    import torch
    from monai.inferers import sliding_window_inference

    torch.set_num_threads(threads)
    net = network() if runtime is None else None
    loaded = None if runtime is None else session(runtime, path, threads)

    def predict(tensor: Any) -> Any:
        return net(tensor) if net else torch.from_numpy(loaded.run({"image": tensor.numpy()})["logits"])

    def run(box: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            image = torch.from_numpy(box[None, None])
            blended = sliding_window_inference(
                image, WINDOW, batch, predict, overlap=OVERLAP, mode="gaussian"
            )
        result: NDArray[np.float32] = blended[0].numpy()
        return result

    return run


WAYS: dict[str, Callable[[Path, int], Callable[[NDArray[np.float32]], NDArray[np.float32]]]] = {
    "MONAI, torch": lambda path, threads: monais(None, path, threads),
    "MONAI, torch, 4 windows at a time": lambda path, threads: monais(None, path, threads, 4),
    "MONAI, our ONNX Runtime session": lambda path, threads: monais("onnxruntime", path, threads),
    "ours, ONNX Runtime": lambda path, threads: ours("onnxruntime", path, threads),
    "MONAI, our OpenVINO session": lambda path, threads: monais("openvino", path, threads),
    "ours, OpenVINO": lambda path, threads: ours("openvino", path, threads),
}


SAME_SESSION = {
    "ours, ONNX Runtime": "MONAI, our ONNX Runtime session",
    "ours, OpenVINO": "MONAI, our OpenVINO session",
}


def memory_mb(line: str) -> float:
    """Resident memory of this process: VmHWM, the most so far, or VmRSS, now."""
    # getrusage would give the most of the parent where that was larger
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{line}:")[1].split()[0]) * 1024 / 1e6


def one_way(way: str, folder: Path, threads: int) -> None:
    """Run one way, on one window to warm up and then on the volume; the output is kept in the folder."""
    box = np.load(folder / "volume.npy")
    run = WAYS[way](folder / "unet.onnx", threads)
    k, j, i = WINDOW
    run(box[:k, :j, :i])
    loaded_mb = memory_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew: what loading took is not counted
    cpu, wall = time.process_time(), time.perf_counter()
    result = run(box)
    figures = {
        "wall s": time.perf_counter() - wall,
        "CPU s": time.process_time() - cpu,
        "peak MB": memory_mb("VmHWM"),
        "of it for the volume": memory_mb("VmHWM") - loaded_mb,
    }
    np.save(folder / f"{list(WAYS).index(way)}.npy", result)
    print(json.dumps(figures))


def compared(folder: Path, ways: list[str]) -> dict[str, dict[str, float]]:
    """How far the outputs of each way are from those of MONAI with torch."""
    numbers = {way: np.load(folder / f"{list(WAYS).index(way)}.npy") for way in ways}
    reference = numbers[ways[0]]
    scale = float(np.abs(reference).max())
    return {
        way: {
            "max difference / max": float(np.abs(one - reference).max()) / scale,
            "same argmax": float((one.argmax(axis=0) == reference.argmax(axis=0)).mean()),
        }
        for way, one in numbers.items()
    }


def measured(folder: Path, ways: list[str], rounds: int, threads: int) -> dict[str, dict[str, float]]:
    """Medians of each figure of each way; each round begins with another way, so none is always the first.

    "faster": medians over the rounds of how much longer MONAI with torch took in the same round; "than MONAI,
    same session": of how much longer MONAI's windows with the same session inside took.
    """
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for number in range(rounds):
        begin = number % len(ways)
        for way in ways[begin:] + ways[:begin]:
            command = [sys.executable, "-m", "tests.bench.sliding", "--way", way, "--folder", str(folder)]
            done = subprocess.run(
                [*command, "--threads", str(threads)], stdout=subprocess.PIPE, text=True, check=True
            )
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
    figures = {}
    for way, several in found.items():
        figures[way] = {key: statistics.median(one[key] for one in several) for key in several[0]}
        for row, other in (("faster", ways[0]), ("than MONAI, same session", SAME_SESSION.get(way, ""))):
            for key in ("wall s", "CPU s"):
                pairs = zip(found.get(other, []), several, strict=False)
                ratios = [theirs[key] / mine[key] for theirs, mine in pairs]
                figures[way][f"{row}, {key[:-2]}"] = statistics.median(ratios) if ratios else math.nan
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", choices=list(WAYS), help="run one way only, in --folder")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.way:
        one_way(given.way, given.folder, given.threads)
        return
    ways = list(WAYS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        box = volume()
        np.save(folder / "volume.npy", box)
        export(folder / "unet.onnx")
        figures = measured(folder, ways, given.rounds, given.threads)
        for way, differences in compared(folder, ways).items():
            figures[way].update(differences)
    columns = list(figures[ways[0]])
    print("### Sliding windows against MONAI\n")
    print(f"| way | {' | '.join(columns)} |")
    print("| --- |" + " ---: |" * len(columns))
    for way, one in figures.items():
        print(f"| {way} | {' | '.join(_cell(column, one[column]) for column in columns)} |")
    packages = ("numpy", "torch", "monai", "onnxruntime", "openvino")
    print(f"\nVolume {box.shape}, windows {WINDOW}, overlap {OVERLAP}, Gaussian by MONAI's rule; medians of")
    print(f"{given.rounds} rounds, every run in a process of its own;")
    print(f"{machine(packages, given.threads)}\n")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))


def _cell(column: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    if "MB" in column or "volume" in column:
        return f"{value:.0f}"
    return (
        f"{value:.7g}" if "same argmax" in column else f"{value:.1e}" if "diff" in column else f"{value:.2f}"
    )


if __name__ == "__main__":
    main()
