"""What is wrong with an engine package that its manifest's own rules cannot see: found when it is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from dicomnode.analyse.algorithms import (
    ALGORITHMS,
    CROSS_CHECKS,
    LESION_ALGORITHMS,
    ROW_ALGORITHMS,
    Parameters,
)
from dicomnode.analyse.algorithms.cross_checked import SIDES
from dicomnode.analyse.cubic import cubic_problems
from dicomnode.analyse.preparations import check_packages
from dicomnode.analyse.register import check_registers
from dicomnode.engine import EnginePackage, Manifest, StepSpec
from dicomnode.faults import MANIFEST_WRONG, PREPARATION_NEEDS, NodeError
from dicomnode.settings.reader import nearest


def check_package(package: EnginePackage) -> None:
    """Refuse names that this room does not know: NodeError MANIFEST_WRONG, PREPARATION_NEEDS."""
    for given in package.manifest.input:
        check_packages(package.manifest.name, given.prepare)
        if given.register != "none":
            check_registers(package.manifest.name)
    problems = [
        f"step {step.name}: {step.algorithm} compares nothing, and has no `of`"
        for step in package.manifest.step
        if step.of and step.algorithm is not None and step.algorithm not in CROSS_CHECKS
    ]
    for step in package.manifest.step:
        if step.network is not None:
            problems.extend(_window_problems(step))
        elif step.algorithm in ROW_ALGORITHMS:
            problems.extend(_row_problems(step, package.manifest))
        elif step.algorithm in CROSS_CHECKS:
            problems.extend(_cross_check_problems(step, package.manifest))
        elif step.algorithm in ALGORITHMS:
            problems.extend(_anatomy_problems(step, package.manifest))
        elif step.algorithm in LESION_ALGORITHMS:
            problems.extend(_lesion_problems(step, package.manifest))
        else:
            known = ", ".join((*ALGORITHMS, *CROSS_CHECKS, *LESION_ALGORITHMS, *ROW_ALGORITHMS))
            problems.append(f"step {step.name}: algorithm is one of {known}")
    refuse(package, problems)


def refuse(package: EnginePackage, problems: Sequence[str]) -> None:
    """Raise NodeError(MANIFEST_WRONG) where there are problems."""
    if problems:
        raise NodeError(MANIFEST_WRONG, path=package.folder / "engine.toml", problems="; ".join(problems))


def _window_problems(step: StepSpec) -> list[str]:
    size, multiple = step.window.size_kji, step.crop.multiple if step.crop else 1
    if size is None:
        return []
    problems = []
    if not all(side == 1 or side % multiple == 0 for side in size):
        problems.append(f"step {step.name}: sides of a window are multiples of {multiple}, got {list(size)}")
    if len(step.heads) > 1 and any(head.interpret == "boxes" for head in step.heads):
        problems.append(f'step {step.name}: boxes and other heads go together with window = "whole" only')
    return problems


def _row_problems(step: StepSpec, manifest: Manifest) -> list[str]:
    """Find what is wrong with a step that gives a row of numbers. Raises NodeError(PREPARATION_NEEDS)."""
    algorithm = ROW_ALGORITHMS[step.algorithm or ""]
    problems = _parameter_problems(step, algorithm.parameters)
    if step.interpret != "features":
        problems.append(f'step {step.name}: {algorithm.name} gives a row of numbers: interpret = "features"')
    names = step.features.names if step.features is not None else ()
    for name in names:
        if name not in algorithm.names:
            hint = nearest(name, list(algorithm.names)) or f"It gives {', '.join(algorithm.names)}."
            problems.append(f"step {step.name}: {algorithm.name} gives no {name}. {hint}")
    if len(set(names)) < len(names):
        problems.append(f"step {step.name}: each of [step.features] names stands there once")
    for name in algorithm.chosen(names):
        if name in algorithm.in_voxels:
            problems.extend(cubic_problems(step, name, manifest))
    missing = algorithm.needs(names)
    if missing is not None and find_spec(missing) is None:
        raise NodeError(
            PREPARATION_NEEDS, engine=manifest.name, steps=algorithm.name, packages="scikit-image"
        )
    return problems


def _anatomy_problems(step: StepSpec, manifest: Manifest) -> list[str]:
    algorithm = ALGORITHMS[step.algorithm or ""]
    problems = _parameter_problems(step, algorithm.parameters)
    for output in manifest.of_head(step.name, ""):
        if algorithm.parts and output.segment not in algorithm.parts:
            known = ", ".join(algorithm.parts)
            problems.append(f"step {step.name}: segment is one of {known}, got {output.segment!r}")
    if step.interpret is not None:
        problems.append(f"step {step.name}: {algorithm.name} gives a mask, which nothing interprets")
    return problems


def _cross_check_problems(step: StepSpec, manifest: Manifest) -> list[str]:
    """Find what is wrong with a step that compares; `of` names two earlier steps, as has been read."""
    check = CROSS_CHECKS[step.algorithm or ""]
    problems = _parameter_problems(step, check.parameters)
    if step.interpret is not None:
        problems.append(f"step {step.name}: {check.name} gives a mask, which nothing interprets")
    if not step.of:
        return [*problems, f"step {step.name}: {check.name} needs of = [a step with lungs, one with a map]"]
    mask, seen = (manifest.step_named(name) for name in step.of)
    if mask.algorithm not in ALGORITHMS:
        problems.append(f"step {step.name}: the first of `of` is an algorithm with a mask, not {mask.name}")
    if seen.network is None or seen.head or seen.interpret != "map":
        wanted = f"a network with the map of {1 + len(SIDES)} classes: none, {', '.join(SIDES)}"
        problems.append(f'step {step.name}: the second of `of` is {wanted} (interpret = "map")')
    return problems


def _lesion_problems(step: StepSpec, manifest: Manifest) -> list[str]:
    algorithm = LESION_ALGORITHMS[step.algorithm or ""]
    problems = _parameter_problems(step, algorithm.parameters)
    if algorithm.cubic:
        problems.extend(cubic_problems(step, algorithm.name, manifest))
    if step.interpret != "lesions":
        problems.append(f'step {step.name}: {algorithm.name} gives lesions: interpret = "lesions"')
    return problems


def _parameter_problems(step: StepSpec, known: Parameters) -> list[str]:
    problems = []
    for name, value in step.parameters.items():
        if name not in known:
            problems.append(f"step {step.name}: parameters are {', '.join(known)}, not {name}")
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            problems.append(f"step {step.name}: {name} is a number above 0, got {value!r}")
    return problems
