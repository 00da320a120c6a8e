"""What is wrong with an engine package that its manifest's own rules cannot see: found when it is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from dicomnode.analyse.algorithms import ALGORITHMS
from dicomnode.analyse.preparations import check_packages
from dicomnode.analyse.register import check_registers
from dicomnode.engine import EnginePackage, StepSpec
from dicomnode.faults import MANIFEST_WRONG, NodeError


def check_package(package: EnginePackage) -> None:
    """Refuse names that this room does not know: NodeError MANIFEST_WRONG, PREPARATION_NEEDS."""
    for given in package.manifest.input:
        check_packages(package.manifest.name, given.prepare)
        if given.register != "none":
            check_registers(package.manifest.name)
    problems = []
    for step in package.manifest.step:
        if step.network is not None:
            problems.extend(_window_problems(step))
        elif step.algorithm not in ALGORITHMS:
            problems.append(f"step {step.name}: algorithm is one of {', '.join(ALGORITHMS)}")
        else:
            problems.extend(_parameter_problems(step))
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


def _parameter_problems(step: StepSpec) -> list[str]:
    known = ALGORITHMS[step.algorithm or ""].parameters
    problems = []
    for name, value in step.parameters.items():
        if name not in known:
            problems.append(f"step {step.name}: parameters are {', '.join(known)}, not {name}")
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            problems.append(f"step {step.name}: {name} is a number above 0, got {value!r}")
    return problems
