"""What an engine in the making takes, and how that is prepared: decided from the training part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.preparations.geometry import turn_of
from dicomnode.engine import InputSpec, Manifest
from dicomnode.faults import DRAFT_WRONG, NOTHING_TO_LEARN, NodeError
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.samples import target_on
from dicomnode.learn.train.shapes import Shape, Three, median_spacing, patch_of, shape_of
from dicomnode.settings import read_table
from dicomnode.values import Grid, Volume
from dicomnode.values.codes import HOUNSFIELD

Table = dict[str, Any]

INPUT: Final = "image"
ORIENTATION: Final = "LPS"
USE: Final = "Research and engineering. Not for clinical use."
_VALUES: Final = 20_000  # of a study that are looked at, evenly taken
_PERCENTILES: Final = (0.5, 99.5)
_LONGEST_WHOLE: Final = 96
_PICTURE_SIDE: Final = 224  # rows and columns of a picture at most, unless it is given
_DEEP: Final = frozenset({"densenet121", "efficientnet_b0", "vgg16"})
_LEAST_DEEP: Final = 32
_COVERED: Final = 90.0  # percent of the training studies whose whole extent a network sees
_WIDER: Final = 2.0  # slices may be so much thicker than the thickest that was trained on


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is seen of a case of the training part: its grid turned to LPS, and some of its values.

    values: float32, of labelled voxels where there are any. in_hu: whether they are Hounsfield units.
    """

    shape_kji: Three
    spacing_kji_mm: tuple[float, float, float]
    values: NDArray[np.float32]
    in_hu: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The input of the engine in the making.

    input: the [[input]] table. pad_value: around small studies. free: sides may be any multiples of these, of
    a network that sees a study whole; None: they are those of the patch. further: [[input]] tables behind the
    first, of which `channels` counts the volumes. numbers: of attributes, which go in beside the images.
    usual_mm: of `detect`, the diameter of lesions whose size nobody has said; None: nor of any other.
    """

    input: Table
    shape: Shape
    spacing_kji_mm: tuple[float, float, float]
    pad_value: float
    in_hu: bool
    channels: int
    free: Three | None = None
    further: tuple[Table, ...] = ()
    numbers: int = 0
    usual_mm: float | None = None

    @property
    def inputs(self) -> list[Table]:
        """All [[input]] tables, that of the first series first."""
        return [self.input, *self.further]

    @property
    def has_places(self) -> bool:
        """Whether what it sees lies where the images lie: frames at a rate of its own are other frames."""
        return "frames_per_s" not in self.input.get("picture", {})

    def manifest(self, name: str) -> Manifest:
        """Return what prepares and matches need of a manifest: its inputs."""
        return manifest_of(self.inputs, name)


def manifest_of(tables: Sequence[Table], name: str) -> Manifest:
    """Return a manifest of these [[input]] tables and nothing else; NodeError(DRAFT_WRONG)."""
    read = [read_table(InputSpec, table, "input") for table in tables]
    specs = tuple(spec for spec, _ in read if spec is not None)
    if len(specs) < len(read):
        problems = "; ".join(str(one) for _, wrong in read for one in wrong)
        raise NodeError(DRAFT_WRONG, name=name, problems=problems)
    return Manifest(
        schema=1, name=name, version="1.0.0", title=name, use=USE, input=specs, step=(), output=()
    )


def start_of(form: tuple[str, str], require: list[Table], prefer: list[Table]) -> Manifest:
    """Return the manifest that chooses stacks of a kind and modality before anything else is decided."""
    table: Table = {"name": INPUT, "kind": form[0], "require": require, "prefer": prefer}
    return manifest_of([table], "training")


def rules_of(cases: Sequence[Case]) -> tuple[list[Table], list[Table]]:
    """Return what a series must be, and what makes one better: as those that were trained on."""
    modalities = sorted({str(case.stack.facts.tags.get("Modality", "")) for case in cases} - {""})
    require: list[Table] = []
    if len(modalities) == 1:
        require.append({"tag": "Modality", "equals": modalities[0]})
    elif modalities:
        require.append({"tag": "Modality", "one_of": modalities})
    facts = [case.stack.facts.facts for case in cases]
    units = {one.get("unit") for one in facts}
    if units == {"HU"}:
        require.append({"fact": "unit", "equals": "HU"})
    covered = [one.get("covers") for one in facts]
    parts = [{str(part) for part in one} for one in covered if isinstance(one, tuple)]
    if len(parts) == len(facts) and {case.stack.kind for case in cases} == {"volume"}:
        shared = sorted(set.intersection(*parts))
        require += [{"fact": "covers", "contains": part} for part in shared]
    distances = [mm for one in facts if isinstance(mm := one.get("spacing_k_mm"), float)]
    prefer: list[Table] = []
    if distances and len(distances) == len(facts):
        require.append({"fact": "spacing_k_mm", "at_most": round(_WIDER * max(distances), 2)})
        prefer.append({"fact": "spacing_k_mm", "smaller": True})
        require.append({"fact": "instances", "at_least": 2})
    return require, prefer


def look_at(case: Case, volume: Volume) -> Look:
    """Look at a case."""
    turned = turn_of(volume.grid, ORIENTATION).grid
    return Look(
        shape_kji=turned.shape_kji,
        spacing_kji_mm=turned.spacing_kji_mm,
        values=_some(case, volume),
        in_hu=volume.unit == HOUNSFIELD,
    )


def _some(case: Case, volume: Volume) -> NDArray[np.float32]:
    """Return values of the labelled voxels, or of all where none is labelled; evenly taken."""
    values = volume.voxels
    if case.grid is not None:
        target = _labelled(case, volume.grid)
        if target.any():
            return _evenly(values[target])
    return _evenly(values.ravel())


def _labelled(case: Case, grid: Grid) -> NDArray[np.bool_]:
    if case.grid is not None and case.grid.same_as(grid):
        whole = np.zeros(grid.shape_kji, dtype=bool)
        for mask in case.truths.values():
            whole[mask.slices_kji] |= mask.crop()
        return whole
    source = case.grid or grid
    found: NDArray[np.bool_] = (target_on(grid, source, case.truths, max(case.truths) + 1) == 1).any(axis=0)
    return found


def _evenly(values: NDArray[np.generic]) -> NDArray[np.float32]:
    return np.asarray(values[:: max(1, values.size // _VALUES)], dtype=np.float32)


def plan_volumes(
    recipe: Recipe, cases: Sequence[Case], looks: Sequence[Look], *, beyond: float = 0.0
) -> Plan:
    """Decide spacing, patch and scaling of volumes from the training part. looks: one a training case.

    beyond: how much is kept on either side of the values that are looked at, as a part of their span.
    """
    whole = recipe.task in {"classify", "regress", "anomaly", "multitask"}
    in_hu = all(look.in_hu for look in looks)
    spacing, patch = _whole(recipe, looks) if whole else _patches(recipe, looks)
    scale, low, pad_value = _scaling(recipe, looks, in_hu=in_hu, beyond=beyond)
    prepare: list[Table] = [{"clip": _clip(recipe, low)}] if low is not None else []
    prepare += [{"orient": ORIENTATION}, {"resample_mm": list(spacing)}]
    if whole:
        prepare.append({"crop_centre": {"shape_kji": list(patch)}})
        pad: Table = {"pad": {"shape_kji": list(patch), "value": low[0] if low is not None else 0.0}}
        prepare += [pad, *scale] if low is not None else [*scale, pad]
    else:
        prepare += scale
    require, prefer = rules_of(cases)
    table: Table = {"name": INPUT, "kind": "volume", "require": require, "prefer": prefer, "prepare": prepare}
    return Plan(
        input=table,
        shape=shape_of(patch, spacing, recipe.levels),
        spacing_kji_mm=spacing,
        pad_value=pad_value,
        in_hu=in_hu,
        channels=1,
    )


def plan_pictures(recipe: Recipe, cases: Sequence[Case]) -> Plan:
    """Decide size and colour of pictures. A cine is none (see `plan_cines`): NodeError(NOTHING_TO_LEARN)."""
    kinds = {case.stack.kind for case in cases}
    if kinds != {"picture"}:
        raise NodeError(
            NOTHING_TO_LEARN,
            task=recipe.task,
            reason="they are cines, and this task does not learn from frames in time",
            advice="Give still images, or volumes.",
        )
    side = recipe.patch_kji[1:] if recipe.patch_kji is not None else (picture_side(cases),) * 2
    colour = any(bool(case.stack.facts.facts.get("colour")) for case in cases)
    require, _ = rules_of(cases)
    table: Table = {
        "name": INPUT,
        "kind": "picture",
        "require": require,
        "picture": {"colour": "rgb" if colour else "grey"},
        "prepare": [{"letterbox": {"shape_ji": list(side)}}, {"z_score": {}}],
    }
    return Plan(
        input=table,
        shape=shape_of((1, *side), (1.0, 1.0, 1.0), recipe.levels),
        spacing_kji_mm=(1.0, 1.0, 1.0),
        pad_value=0.0,
        in_hu=False,
        channels=3 if colour else 1,
    )


def picture_side(cases: Sequence[Case]) -> int:
    """Return rows and columns that hold the largest picture as it is; networks halve them five times.

    Larger ones than usual are made smaller; small ones are not blown up, which costs time and tells nothing.
    """
    sizes = ((header.rows, header.columns) for case in cases for header in case.stack.headers[:1])
    longest = max(max(rows or 0, columns or 0) for rows, columns in sizes)
    return min(_PICTURE_SIDE, math.ceil(longest / _LEAST_DEEP) * _LEAST_DEEP)


def _patches(recipe: Recipe, looks: Sequence[Look]) -> tuple[tuple[float, float, float], Three]:
    spacing = recipe.spacing_kji_mm or median_spacing([look.spacing_kji_mm for look in looks])
    lengths = [
        [
            max(1, round(n * have / want))
            for n, have, want in zip(look.shape_kji, look.spacing_kji_mm, spacing, strict=True)
        ]
        for look in looks
    ]
    return spacing, recipe.patch_kji or patch_of(lengths, recipe.levels)


def _whole(recipe: Recipe, looks: Sequence[Look]) -> tuple[tuple[float, float, float], Three]:
    """Return spacing and size with which the network sees nearly all of nearly all studies."""
    extents = np.array(
        [[n * mm for n, mm in zip(one.shape_kji, one.spacing_kji_mm, strict=True)] for one in looks]
    )
    reach = np.percentile(extents, _COVERED, axis=0)
    finest = recipe.spacing_kji_mm or median_spacing([look.spacing_kji_mm for look in looks])
    wanted = [min(_LONGEST_WHOLE, math.ceil(mm / have)) for mm, have in zip(reach, finest, strict=True)]
    patch = recipe.patch_kji or _enough(recipe, patch_of([wanted], recipe.levels))
    if recipe.spacing_kji_mm is not None:
        return recipe.spacing_kji_mm, patch
    k, j, i = (
        round(max(have, float(mm) / side), 3) for have, mm, side in zip(finest, reach, patch, strict=True)
    )
    return (k, j, i), patch


def _enough(recipe: Recipe, patch_kji: Three) -> Three:
    """Return a patch that a network which halves five times can see; what is short is padded."""
    if recipe.net not in _DEEP:
        return patch_kji
    k, j, i = (max(side, _LEAST_DEEP) for side in patch_kji)
    return (patch_kji[0] if patch_kji[0] == 1 else k), j, i


def _scaling(
    recipe: Recipe, looks: Sequence[Look], *, in_hu: bool, beyond: float
) -> tuple[list[Table], tuple[float, float] | None, float]:
    """Return the entries that scale, the limits that come before them, and the value around studies."""
    scaling = recipe.scaling
    if scaling == "auto":
        scaling = "foreground" if in_hu and len(recipe.series) < 2 else "z_score"
    if scaling == "percentile":
        lower, upper = _PERCENTILES
        return [{"percentile": {"lower": lower, "upper": upper, "clip": True}}], None, 0.0
    if scaling == "z_score":
        return [{"z_score": {}}], None, 0.0
    values = np.concatenate([look.values for look in looks]).astype(np.float64)
    low, high = (float(one) for one in np.percentile(values, _PERCENTILES))
    if not low < high:
        low, high = low - 0.5, high + 0.5
    kept = np.clip(values, low, high)
    mean, sd = round(float(kept.mean()), 4), round(max(float(kept.std()), 1e-3), 4)
    span = beyond * (high - low)
    low, high = round(low - span, 3), round(high + span, 3)
    return [{"z_score": {"mean": mean, "std": sd}}], (low, high), (low - mean) / sd


def _clip(recipe: Recipe, limits: tuple[float, float]) -> list[float]:
    """Return where values are cut off. What is not normal may lie beyond what normal cases have."""
    low, high = limits
    span = high - low if recipe.task == "anomaly" else 0.0
    return [low - span, high + span]


def facts_of(plan: Plan) -> Mapping[str, Any]:
    """Return what people are told of a plan."""
    return {
        "spacing_kji_mm": list(plan.spacing_kji_mm),
        "patch_kji": list(plan.shape.patch_kji),
        "prepare": plan.input["prepare"],
    }
