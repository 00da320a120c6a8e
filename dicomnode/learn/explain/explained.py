"""One study explained: prepared as in service, the map placed in its patient space."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from dicomnode.analyse.interpret.fields import scaled_grid
from dicomnode.engine import EnginePackage
from dicomnode.faults import EXPLANATION_DIFFERS, NodeError
from dicomnode.learn.explain.attribution import Attribution, Method, attribute
from dicomnode.learn.explain.trained import TrainedNetwork
from dicomnode.learn.train.samples import Fed, fed
from dicomnode.values import Code, Findings, Picture, Refusal, Remark, RemarkKind, ScalarMap, Volume
from dicomnode.values.codes import NO_UNIT

# PS3.16 CID 7180
_TYPES: Final = MappingProxyType(
    {
        "cam": Code("130402", "DCM", "Class activation"),
        "grad-cam": Code("130403", "DCM", "Gradient-weighted class activation"),
        "integrated-gradients": Code("130404", "DCM", "Saliency"),
    }
)
_SAME: Final = 0.01  # of a probability: reduced precision and another library


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explanation:
    """A class of a study explained. findings: those of the engine, with this map in place of its own.

    name: of the class. probability: of it, by the network as it was trained.
    """

    name: str
    method: Method
    probability: float
    attribution: Attribution
    map: ScalarMap
    findings: Findings


def explain(
    package: EnginePackage,
    trained: TrainedNetwork,
    images: Volume | Picture,
    findings: Findings,
    how: tuple[Method, str | None],
) -> Explanation | Refusal:
    """Explain what an engine says of a study. how: the method and the class; None: the likeliest output.

    images: the stack that the findings are of. A refusal where the images cannot be prepared. Raises
    NodeError: EXPLANATION_CLASS, EXPLANATION_DIFFERS, and as `attribute` and `fed`.
    """
    method, name = how
    chosen = name or max(findings.classifications, key=lambda one: one.probability).label
    channel = trained.channel_of(chosen)
    ready = fed(package.manifest, images)
    if isinstance(ready, Refusal):
        return ready
    _check_same(trained, ready, findings)
    found = attribute(trained.network, ready.inputs, channel, method, flat=trained.flat)
    placed = ScalarMap(
        label=f"{chosen}-{method}",
        type=_TYPES[method],
        unit=NO_UNIT,
        values=found.values,
        grid=scaled_grid(ready.grid, found.values.shape),
        algorithm=f"{method} {package.manifest.version}",
    )
    probability = trained.probability(ready.inputs, channel)
    text = (
        f"{placed.type.meaning} for {trained.names[channel]} ({100 * probability:.1f} %), made after the "
        "analysis to explain the network. It shows what the network heeded, not the extent of a disease."
    )
    remark = Remark(kind=RemarkKind.LIMIT, text=text)
    return Explanation(
        name=chosen,
        method=method,
        probability=probability,
        attribution=found,
        map=placed,
        findings=replace(findings, maps=(placed,), remarks=(*findings.remarks, remark)),
    )


def _check_same(trained: TrainedNetwork, ready: Fed, findings: Findings) -> None:
    """Raise NodeError(EXPLANATION_DIFFERS) where the weights do not say what the engine says."""
    for one in findings.classifications:
        here = trained.probability(ready.inputs, trained.labels[one.label])
        if abs(here - one.probability) > _SAME:
            raise NodeError(
                EXPLANATION_DIFFERS,
                engine=trained.engine,
                here=f"{here:.3f}",
                there=f"{one.probability:.3f} for {one.label}",
            )
