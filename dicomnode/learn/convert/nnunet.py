"""An nnU-Net v2 result becomes an engine package: its folds in one ONNX network, its plans in engine.toml.

Neither nnunetv2 nor dynamic_network_architectures is needed: the folder's format is read, and nothing in it
is run. Several channels become several inputs that are prepared together. A cascade's second stage, and other
networks than the two U-Nets of nnU-Net's planners, are refused with a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from dicomnode.engine.adding.draft import Draft
from dicomnode.faults import CASCADE_STAGE, NOT_CONVERTIBLE, NodeError
from dicomnode.learn.convert.export import LARGEST_ONNX_BYTES, Example, compare, torch_library, written_onnx
from dicomnode.learn.convert.nnunet_answers import Said, read_answers
from dicomnode.learn.convert.nnunet_checkpoint import Checkpoint, load_weights, read_checkpoint
from dicomnode.learn.convert.nnunet_files import (
    LARGEST_CHECKPOINT_BYTES,
    Result,
    find_result,
    incomplete,
    ways_without_cascade,
)
from dicomnode.learn.convert.nnunet_keys import UnfitError
from dicomnode.learn.convert.nnunet_manifest import (
    FILE,
    IMAGE,
    LOGITS,
    Trained,
    card_text,
    make_tables,
    value_range,
)
from dicomnode.learn.convert.nnunet_plans import Plan, SecondStageError, read_plan

if TYPE_CHECKING:
    from torch import nn

_LOG = structlog.get_logger(__name__)
_BYTES_OF_A_WEIGHT: Final = 4


def convert_nnunet(path: Path, answers: Mapping[str, Any]) -> Draft:
    """Convert a result folder, the folder above several, or the zip that nnU-Net exports.

    answers: what a person said; `Said` lists the keys, all of them optional.
    Raises NodeError: ANSWER_WRONG, SOURCE_INCOMPLETE, QUESTIONS_OPEN, CHECKPOINT_REFUSED, CHECKPOINT_UNFIT,
    NOT_CONVERTIBLE, CASCADE_STAGE, EXPORT_DIFFERS, TRAIN_MISSING. Writes nothing.
    """
    said = read_answers(answers)
    torch_library("The conversion of an nnU-Net")
    result = find_result(path, said.configuration)
    folds = _folds(result, said)
    checkpoints = [_checkpoint(result, fold, said) for fold in folds]
    plan = _plan(result, checkpoints)
    axes = _mirror_axes(result, plan, checkpoints[0])
    trained = Trained(plan=plan, folds=folds, trainer=checkpoints[0].trainer, mirror_axes=axes)
    made = make_tables(trained, said)  # what must be asked is asked before the long work
    network = _network(result, plan, checkpoints)
    low, high = value_range(plan.channels)
    inputs = {IMAGE: Example(shape=(1, len(plan.channels), *plan.patch), low=low, high=high)}
    content = written_onnx(network, inputs, (LOGITS,), source=result.title)
    difference = compare(content, network, inputs, (LOGITS,), source=result.title)
    _LOG.info("network.converted", source="nnunet", folds=len(folds), bytes=len(content), apart=difference)
    made = replace(made, left_out=(*made.left_out, *_not_done(result)))
    card = card_text(made, trained, difference)
    return Draft(table=made.table, networks={FILE: content}, card=card, left_out=made.left_out)


def _folds(result: Result, said: Said) -> tuple[str, ...]:
    """Return the folds that are taken: those asked for, or as nnU-Net does all numbered ones."""
    if said.folds is None:
        return tuple(fold for fold in result.folds if fold != "fold_all") or result.folds
    missing = [fold for fold in said.fold_folders if fold not in result.folds]
    if missing:
        problem = f"{', '.join(missing)} is not there; it has {', '.join(result.folds)}"
        raise incomplete(result.path("").rstrip("/"), problem)
    return said.fold_folders


def _checkpoint(result: Result, fold: str, said: Said) -> Checkpoint:
    name = f"{fold}/checkpoint_{said.checkpoint}.pth"
    return read_checkpoint(result.content(name, LARGEST_CHECKPOINT_BYTES), result.path(name))


def _plan(result: Result, checkpoints: Sequence[Checkpoint]) -> Plan:
    said = {one.configuration for one in checkpoints if one.configuration is not None}
    if len(said) > 1:
        raise _refused(result, f"its folds are of several configurations, {', '.join(sorted(said))}")
    configuration = said.pop() if said else result.configuration
    plans, dataset = result.json("plans.json"), result.json("dataset.json")
    try:
        return read_plan(plans, dataset, configuration)
    except SecondStageError as error:
        ways = " or ".join(ways_without_cascade(result))
        instead = (
            ways or "a configuration of one stage, 3d_fullres or 3d_lowres; none with checkpoints lies here"
        )
        raise NodeError(
            CASCADE_STAGE, source=result.title, previous=error.previous, instead=instead
        ) from error
    except UnfitError as error:
        raise _refused(result, str(error)) from error


def _mirror_axes(result: Result, plan: Plan, checkpoint: Checkpoint) -> tuple[int, ...]:
    if any(axis >= len(plan.patch) for axis in checkpoint.mirror_axes):
        raise _refused(
            result, f"it mirrors along the axes {checkpoint.mirror_axes} and has {len(plan.patch)}"
        )
    return checkpoint.mirror_axes


def _network(result: Result, plan: Plan, checkpoints: Sequence[Checkpoint]) -> nn.Module:
    """Build the network of each fold, and one of all of them."""
    from dicomnode.learn.convert.nnunet_networks import (  # noqa: PLC0415  loads torch
        Ensemble,
        build_network,
    )

    folds = []
    for checkpoint in checkpoints:
        # Its weights take no memory until those of the checkpoint have been found to fit
        network = build_network(plan.architecture, len(plan.channels), plan.classes)
        load_weights(network, checkpoint)
        folds.append(network)
    size = _BYTES_OF_A_WEIGHT * sum(one.numel() for fold in folds for one in fold.parameters())
    if size > LARGEST_ONNX_BYTES:
        reason = f"its {len(folds)} folds have {size} bytes and an ONNX file at most 2 GiB: name fewer folds"
        raise _refused(result, reason)
    return Ensemble(folds).eval()


def _not_done(result: Result) -> list[str]:
    """Say what lies in the folder that nnU-Net's predictor does not use, but its makers may have."""
    postprocessing = [name for name in result.files.names() if name.endswith("postprocessing.json")]
    if not postprocessing:
        return []
    return ["nnU-Net found a postprocessing for it (postprocessing.json); this engine does none."]


def _refused(result: Result, reason: str) -> NodeError:
    return NodeError(NOT_CONVERTIBLE, source=result.title, reason=reason)
