"""Steps 6, 7, 9 and 10: TensorRT or TensorRT-RTX builds, agrees, stays within its memory, and is kept."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.gpu.steps import (
    Figures,
    NotRunError,
    context,
    must,
    need,
    need_device,
    on_test_driver,
    percentiles,
    sized,
)

BATCHES: Final = (1, 2, 4, 8)
AGREES, SAME_PLACES = 1e-3, 0.999  # fp32 with TF32 off, of the largest; Dice of the fp16 labels
SIGMA: Final = 300.0  # squares of 256 and more do not fit fp16: what a norm in fp16 makes black
_CLASSES: Final = 3


def capabilities() -> dict[str, Any]:
    """The flavours of TensorRT that work here, by name. Raises NotRunError where none does."""
    need_device()
    need("pycuda", "onnx")
    from dicomnode.engine.runtimes import Reason
    from dicomnode.engine.runtimes.tensorrt import FLAVOURS, TensorRtRuntime

    answers = {flavour.name: TensorRtRuntime(flavour).probe() for flavour in FLAVOURS}
    able = {name: one for name, one in answers.items() if not isinstance(one, Reason)}
    if not able:
        raise NotRunError("; ".join(f"{name}: {one.text}" for name, one in answers.items()))
    return able


def unet(side: int, features: tuple[int, ...]) -> bytes:
    """A 3D U-Net of seeded weights with instance norm, windows of side³, any batch, three classes."""
    from tests.unit.engine.networks import Drawing

    g = Drawing(["n", 1, side, side, side])
    x, kept, before = "x", [], 1
    for level, wide in enumerate(features):
        x = g.block(x, (before, wide), 3, "instance", stride=2 if level else 1)
        x = g.block(x, (wide, wide), 3, "instance")
        kept.append((x, wide))
        before = wide
    for across, wide in reversed(kept[:-1]):
        x = g.node("Concat", [across, g.up(x, (before, wide), 3, "transpose")], axis=1)
        x = g.block(x, (2 * wide, wide), 3, "instance")
        before = wide
    return g.done(g.conv(x, (before, _CLASSES), 3, size=1), 5).SerializeToString()


def norm_alone(side: int) -> bytes:
    """An instance norm and nothing else."""
    from tests.unit.engine.networks import Drawing

    g = Drawing(["n", 2, side, side, side])
    return g.done(g.norm("x", 2, "instance"), 5).SerializeToString()


def the_unet() -> tuple[bytes, tuple[int, ...]]:
    """The network of these steps, and the shape of one window."""
    side = sized(96, 16)
    features = (16, 32, 64, 128) if side == 96 else (2, 4)
    return unet(side, features), (1, side, side, side)


@contextmanager
def opened(
    cuda: Any, capability: Any, content: bytes, item: tuple[int, ...], precision: str
) -> Iterator[Any]:
    """Build a network in this process and load it; gives the session, and of its plan
    the seconds of the build and the size in bytes."""
    from dicomnode.engine.precision import convert
    from dicomnode.engine.runtimes import Network
    from dicomnode.engine.runtimes.tensorrt import (
        BuildOptions,
        InputRange,
        ReadyPlan,
        TensorRtRuntime,
        bindings,
        build_plan,
    )
    from dicomnode.engine.runtimes.tensorrt.flavours import flavour_named

    flavour = flavour_named(capability.runtime)
    made = content if precision == "fp32" else convert(content, precision)[0]
    network = Network(engine="gpu-test 1", file="net.onnx", content=made, precision=precision)
    profile = InputRange.batches("x", item, 4, BATCHES[-1])
    begun = time.perf_counter()
    built = build_plan(bindings(flavour), network, BuildOptions(profiles=((profile,),)))
    build_s = time.perf_counter() - begun
    plan = ReadyPlan(content=built, key="0" * 64, precision=precision, tf32=False)
    session = TensorRtRuntime(flavour, lambda _network, _capability: plan, lambda _device: cuda).load(
        network, capability
    )
    try:
        yield session, (build_s, len(built))
    finally:
        session.close()


def reference(content: bytes) -> Any:
    """The same network on ONNX Runtime in fp32."""
    from dicomnode.engine.runtimes import REFERENCE, Network

    return REFERENCE.load(Network(engine="gpu-test 1", file="net.onnx", content=content), REFERENCE.probe())


def noise(batch: int, item: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(batch).standard_normal((batch, *item)) * scale).astype(np.float32)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """The least Dice of the labels that either has."""
    labels = np.unique(np.concatenate([a.ravel(), b.ravel()]))
    scores = [2.0 * ((a == n) & (b == n)).sum() / ((a == n).sum() + (b == n).sum()) for n in labels]
    return float(min(scores))


def plans() -> Figures:
    """Build, load, sweep batches; fp32 and fp16 against ONNX Runtime; a norm that would overflow in fp16."""
    able = capabilities()
    content, item = the_unet()
    wanted = reference(content)
    figures: Figures = {}
    with context() as cuda:
        for name, capability in able.items():
            cuda.pool.free_held()
            of_flavour: Figures = {"version": capability.version}
            for precision in [one for one in ("fp32", "fp16") if one in capability.precisions]:
                with opened(cuda, capability, content, item, precision) as (session, built):
                    found = _agreement(session, wanted, item)
                    of_flavour[precision] = {
                        "build_s": round(built[0], 2),
                        "plan_mb": round(built[1] / 1e6, 2),
                        **found,
                    }
                if precision == "fp32":
                    must(found["largest_difference"] <= AGREES, f"{name} fp32 agrees", found)
                else:
                    must(found["least_dice"] >= SAME_PLACES, f"{name} {precision} finds the same", found)
            if "fp16" in capability.precisions:
                of_flavour["norm_at_300"] = _norm(cuda, capability)
            figures[name] = of_flavour
    return figures


def _agreement(session: Any, wanted: Any, item: tuple[int, ...]) -> Figures:
    apart, least = 0.0, 1.0
    for batch in BATCHES:
        given = {"x": noise(batch, item)}
        (found,), (right,) = session.run(given).values(), wanted.run(given).values()
        must(bool(np.isfinite(found).all()), f"numbers at batch {batch}", "what is none")
        apart = max(apart, float(np.abs(found - right).max() / np.abs(right).max()))
        least = min(least, dice(found.argmax(axis=1), right.argmax(axis=1)))
    return {"largest_difference": apart, "least_dice": least, "batches": list(BATCHES)}


def _norm(cuda: Any, capability: Any) -> Figures:
    side = sized(64, 8)
    content, item = norm_alone(side), (2, side, side, side)
    given = {"x": noise(1, item, SIGMA)}
    (right,) = reference(content).run(given).values()
    with opened(cuda, capability, content, item, "fp16") as (session, _):
        (found,) = session.run(given).values()
    apart = float(np.abs(found - right).max() / np.abs(right).max())
    must(apart <= 0.02, "a norm over values of σ = 300 in fp16 is not black", apart)
    return {"largest_difference": apart}


def memory() -> Figures:
    """What a session says that it takes, against what is gone from the device; libraries loaded before."""
    able = capabilities()
    content, item = the_unet()
    figures: Figures = {}
    with context() as cuda:
        for name, capability in able.items():
            side = sized(64, 8)
            with opened(cuda, capability, norm_alone(side), (2, side, side, side), "fp32"):
                cuda.pool.free_held()
                cuda.stream.synchronize()
                before = cuda.memory().free
                with opened(cuda, capability, content, item, "fp32") as (session, _):
                    shape = (BATCHES[-1], *item)
                    given = cuda.upload(noise(BATCHES[-1], item))
                    outputs = session.infer({"x": given})
                    cuda.stream.synchronize()
                    taken, said = before - cuda.memory().free, session.memory(shape)
                    for buffer in (given, *outputs.values()):
                        buffer.close()
            figures[name] = {"estimated_mb": said / 1e6, "taken_mb": taken / 1e6}
            if not on_test_driver():
                must(0.9 <= said / taken <= 1.1, f"{name}: estimate within 10 %", figures[name])
    return figures


def steady() -> Figures:
    """Two hundred inferences: memory does not grow, and what they take."""
    able = capabilities()
    content, item = the_unet()
    runs = sized(200, 20)
    figures: Figures = {}
    with context() as cuda:
        for name, capability in able.items():
            with opened(cuda, capability, content, item, "fp32") as (session, _):
                given = cuda.upload(noise(1, item))
                times, left = [], []
                for _ in range(runs):
                    begun = time.perf_counter()
                    outputs = session.infer({"x": given})
                    cuda.stream.synchronize()
                    times.append(1e3 * (time.perf_counter() - begun))
                    for buffer in outputs.values():
                        buffer.close()
                    left.append(cuda.memory().free)
                given.close()
            must(
                min(left[runs // 10 :]) == left[runs // 10],
                f"{name}: memory does not grow",
                left[-1] - left[0],
            )
            figures[name] = {"runs": runs, "ms": percentiles(times[runs // 10 :])}
    return figures


def the_engine(folder: Path) -> Any:
    """The engine that ships; on the test driver, which computes on the host, one made in `folder`."""
    from dicomnode.engine import find_engine

    if not on_test_driver():
        return find_engine("lung-ct")
    from tests.unit.analyse.engines import tissue_engine

    return tissue_engine(folder / "tissue", window="{ size_kji = [32, 32, 32], overlap = 0.0 }")


def cache() -> Figures:
    """A second start loads in a tenth of the time of a build; one flipped byte ends in quarantine."""
    able = capabilities()
    from dicomnode.engine.plans import Following, KeptPlans, PlanCache, compiler_of, ensure_plan, orders_of
    from dicomnode.engine.runtimes import Network
    from dicomnode.engine.runtimes.tensorrt import TensorRtRuntime
    from dicomnode.engine.runtimes.tensorrt.flavours import flavour_named

    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder, context() as cuda:
        package = the_engine(Path(folder))
        step = package.manifest.networks[0]
        for name, capability in able.items():
            root = Path(folder) / name
            (order,) = orders_of(package, [compiler_of(capability)], ["fp32"])
            plan = ensure_plan(PlanCache(root), order, Following(limit_s=60.0))
            begun = time.perf_counter()
            source = KeptPlans(PlanCache(root), package.manifest.networks)
            network = Network(
                engine=f"{package.manifest.name} 1", file=step.network or "", content=order.content
            )
            TensorRtRuntime(flavour_named(name), source, lambda _device: cuda).load(
                network, capability
            ).close()
            second_s, build_s = time.perf_counter() - begun, plan.record.build_s
            path = root / f"{order.key.digest}.plan"
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
            must(
                PlanCache(root).find(order.key) is None, "a plan with a flipped byte is none", "it was given"
            )
            quarantined = [one.name for one in (root / "quarantine").iterdir() if one.suffix == ".plan"]
            must(len(quarantined) == 1, "it lies in quarantine", quarantined)
            figures[name] = {"build_s": round(build_s, 2), "second_start_s": round(second_s, 3)}
            if not on_test_driver():
                must(second_s < build_s / 10, "a second start in a tenth of the build", figures[name])
    return figures
