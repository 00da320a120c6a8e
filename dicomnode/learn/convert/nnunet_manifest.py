"""From the plan of an nnU-Net to the tables of an engine.toml that does the same, and the card beside it.

What nnU-Net 2.8 does to a volume, in this order: axes turned (transpose_forward), cut down to what is not 0,
normalised, resampled, seen in overlapping windows, mirrored, folds averaged as logits, resampled back as
logits, then one class a voxel, or regions by 0.5. Each has a word in engine.toml.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from dicomnode.engine.adding.labelling import Meaning, meaning_of, segment_of, stem_of
from dicomnode.learn.convert.channels import channel_inputs, proposal_note
from dicomnode.learn.convert.nnunet_answers import Said
from dicomnode.learn.convert.nnunet_plans import Channel, Plan

Table = dict[str, Any]

FILE: Final = "network.onnx"
STEP: Final = "segmentation"
IMAGE, LOGITS = "image", "logits"  # names of the network's input and output
# nnU-Net turns nothing: a network knows its training images as they lay in their files. Those that SimpleITK
# or 3D Slicer made of axial series run to the left, the back and the head ("LPS"); dcm2niix turns j: "LAS".
# These readers turn every image the same way first
_READERS: Final = {"NibabelIOWithReorient": "RAS", "SimpleITKIOWithReorient": "RAS"}
_AXES: Final = "kji"
_OVERLAP: Final = 0.5  # tile_step_size of nnU-Net's predictor
_SIGMA: Final = 0.125
_RGB_MOST: Final = 255.0
_MR_NAMES: Final = ("t1", "t2", "flair", "mr", "adc", "dwi", "pd", "swi", "bold")
_PET_NAMES: Final = ("pet", "pt", "suv", "fdg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What was trained: the plan, the folds in the network, the trainer, the axes that may be mirrored."""

    plan: Plan
    folds: tuple[str, ...]
    trainer: str
    mirror_axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """engine.toml as tables, and what a reader of the card must know."""

    table: Table
    notes: tuple[str, ...]
    left_out: tuple[str, ...]


def make_tables(trained: Trained, said: Said) -> Made:
    """Make the tables of an engine.toml.

    Raises NodeError(ANSWER_WRONG, QUESTIONS_OPEN) for several channels whose series nobody can tell apart.
    """
    plan = trained.plan
    inputs, notes = _inputs(plan, said)
    is_ct = {"tag": "Modality", "equals": "CT"} in inputs[0]["require"]
    outputs, left_out = _outputs(plan, said.outputs, is_ct=is_ct)
    table: Table = {
        "name": said.name or stem_of(_words(plan.dataset)),
        "version": said.version,
        "title": said.title or f"{_words(plan.dataset)} (nnU-Net {plan.configuration})",
        "use": said.use,
        "input": inputs,
        "step": [_step(trained, [one["name"] for one in inputs])],
        "output": outputs,
    }
    return Made(table, tuple(notes), tuple(left_out))


def _inputs(plan: Plan, said: Said) -> tuple[list[Table], list[str]]:
    """Return the [[input]] of each channel, and what the card must say of them."""
    orient = _READERS.get(plan.reader, said.orient)
    prepared = [prepare_entries(plan, channel, orient) for channel in plan.channels]
    if len(plan.channels) > 1:
        names = [channel.name for channel in plan.channels]
        found = channel_inputs(
            names, said.channels, source=plan.dataset, modality=said.modality, require=said.require
        )
        tables = [one.table(prepared[n], first=n == 0) for n, one in enumerate(found)]
        if said.prefer is not None:
            tables[0].setdefault("prefer", said.prefer)
        together = (
            "nnU-Net was given its channels on one grid; here further series are put onto the grid of the "
            f"first, {found[0].name}, where they lie on another one."
        )
        note = proposal_note(found)
        return tables, [together, *([note] if note else [])]
    channel = plan.channels[0]
    modality, guessed = _modality(channel, said)
    given: Table = {
        "name": stem_of(channel.name),
        "kind": "volume",
        "require": said.require if said.require is not None else [modality],
        "prepare": prepared[0],
    }
    if said.prefer is not None:
        given["prefer"] = said.prefer
    note = f"What the series must be was proposed from the channel's name, {channel.name!r}."
    return [given], [note] if guessed else []


def prepare_entries(plan: Plan, channel: Channel, orient: str) -> list[Table]:
    """Return what is done to a volume before the network sees it."""
    # Letters name i, j, k; `transpose` says which of k, j, i each axis of the network is
    letters = orient[::-1]
    turned = "".join(letters[axis] for axis in plan.transpose)[::-1]
    entries: list[Table] = [{"orient": turned}, {"crop_foreground": {}}, *_normalised(channel)]
    if plan.resampling is not None:
        spacing = [0.0, *plan.spacing_mm][-3:] if len(plan.spacing_mm) == 2 else list(plan.spacing_mm)
        how: Table = {"spacing_kji_mm": spacing, "interpolation": plan.resampling.interpolation}
        how |= {"align": "extent", "blur": False}
        if plan.resampling.thick:
            how["thick_slices"] = "nearest"
        entries.append({"resample": how})
    return entries


def value_range(channels: Sequence[Channel]) -> tuple[float, float]:
    """Return between which values a network that sees these channels is tried."""
    ranges = [_range(channel) for channel in channels]
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _range(channel: Channel) -> tuple[float, float]:
    if channel.normalisation == "CTNormalization":
        low, high = ((value - channel.mean) / channel.std for value in (channel.low, channel.high))
        return float(f"{low:.4g}"), float(f"{high:.4g}")
    if channel.normalisation in {"RescaleTo01Normalization", "RGBTo01Normalization"}:
        return 0.0, 1.0
    return -2.0, 2.0


def _normalised(channel: Channel) -> list[Table]:
    if channel.normalisation == "CTNormalization":
        return [
            {"clip": [channel.low, channel.high]},
            {"z_score": {"mean": channel.mean, "std": channel.std}},
        ]
    if channel.normalisation == "ZScoreNormalization":
        return [{"z_score": {"over": "nonzero_filled"} if channel.masked else {}}]
    if channel.normalisation == "RescaleTo01Normalization":
        return [{"scale_minmax": {}}]
    if channel.normalisation == "RGBTo01Normalization":
        return [{"rescale": {"slope": 1.0 / _RGB_MOST}}]
    return []


def _step(trained: Trained, images: list[str]) -> Table:
    plan = trained.plan
    flat = len(plan.patch) == 2
    window: Table = {
        "size_kji": [1, *plan.patch] if flat else list(plan.patch),
        "overlap": _OVERLAP,
        "blend": "gaussian",
        "rule": "nnunet",
        "sigma": _SIGMA,
    }
    if trained.mirror_axes:
        axes = _AXES[-len(plan.patch) :]
        window["mirror"] = [axes[axis] for axis in trained.mirror_axes]
    thick: Table = {"thick_slices": "nearest"} if plan.back is not None and plan.back.thick else {}
    low, high = value_range(plan.channels)
    meaning = "sigmoid" if plan.regions else "labels"
    return {
        "name": STEP,
        "network": FILE,
        "inputs": {IMAGE: {"of": images, "axes": "ncji" if flat else "nckji"}},
        "window": window,
        "interpret": meaning,
        "output": LOGITS,
        meaning: {"threshold": 0.5, "exclusive": True, **thick} if plan.regions else thick,
        "gate": {"shape": [1, len(plan.channels), *plan.patch], "low": low, "high": high},
    }


def _modality(channel: Channel, said: Said) -> tuple[Table, bool]:
    """Return the rule for the series, and whether it is no more than a guess."""
    if said.modality is not None:
        return {"tag": "Modality", "equals": said.modality}, False
    name = channel.name.lower()
    if channel.normalisation == "CTNormalization" or name == "ct":
        return {"tag": "Modality", "equals": "CT"}, False
    if name.startswith(_MR_NAMES):
        return {"tag": "Modality", "equals": "MR"}, True
    if name.startswith(_PET_NAMES):
        return {"tag": "Modality", "equals": "PT"}, True
    return {"tag": "Modality", "one_of": ["CT", "MR", "PT"]}, True


# ── what comes out ──


def _outputs(plan: Plan, given: Mapping[str, Any], *, is_ct: bool) -> tuple[list[Table], list[str]]:
    """Return the [[output]] tables and what must be said of them. given: what a person said, by channel."""
    tables, own, lesions = [], [], []
    first = 0 if plan.regions else 1
    stems: dict[str, int] = {}
    for n, label in enumerate(plan.labels):
        meaning = meaning_of(label.name)
        said = dict(given.get(str(n + first), {}))
        table = _output(label.name, meaning, said, is_ct=is_ct, rest=label.rest)
        key = f"{table['segment']} {table.get('laterality', '')}"
        stems[key] = stems.get(key, 0) + 1
        if stems[key] > 1:
            table["segment"] += f"-{n + first}"
        table["channel"] = n + first
        tables.append(table)
        if not meaning.known and "type" not in said:
            own.append(label.name)
        if table["kind"] == "lesion":
            lesions.append(label.name)
    left_out = []
    if own:
        left_out.append(
            f"dataset.json has names and no codes: {', '.join(own)} got codes of this node's own scheme; "
            "a person should set codes that others know, in [[output]] type."
        )
    if lesions:
        left_out.append(
            f"All voxels of {', '.join(lesions)} are one segment: single lesions are not told apart."
        )
    rest = [label.name for label in plan.labels if label.rest]
    if rest:
        left_out.append(
            f"Regions are given as nnU-Net's labels: {', '.join(rest)} without what a later region covers."
        )
    return tables, left_out


def _output(name: str, meaning: Meaning, said: Table, *, is_ct: bool, rest: bool) -> Table:
    meaning = replace(
        meaning, kind=said.get("kind", meaning.kind), stem=stem_of(name) if rest else meaning.stem
    )
    measure = ["volume_ml", *(["mean_hu", "sd_hu"] if is_ct else [])]
    return segment_of(meaning, f"{name} (rest)" if rest else name, measure) | {"step": STEP} | said


def _words(dataset: str) -> str:
    number, _, name = dataset.partition("_")
    return (name if number.startswith("Dataset") and name else dataset).replace("_", " ")


# ── the card ──


def card_text(made: Made, trained: Trained, difference: float) -> str:
    """Return card.md: what it was made from, what it takes for granted, what a person should look at."""
    plan = trained.plan
    patch, spacing = " × ".join(map(str, plan.patch)), " × ".join(f"{mm:g}" for mm in plan.spacing_mm)
    folds = ", ".join(fold.removeprefix("fold_") for fold in trained.folds)
    mean = "the mean of their logits" if len(trained.folds) > 1 else "no ensemble"
    mirrored = f", mirrored along {len(trained.mirror_axes)} axes" if trained.mirror_axes else ""
    made_from = [
        f"Made from the nnU-Net v2 result {plan.dataset}, configuration {plan.configuration}, trained by",
        f"{trained.trainer or 'an unnamed trainer'}. Folds in the network: {folds}; {mean}.",
        f"Windows of {patch} voxels of {spacing} mm, placed and weighed as nnU-Net does{mirrored}.",
        f"The ONNX network gives torch's numbers to {difference:.2g}.",
    ]
    granted = [*_orientation(made, plan), *made.notes]
    granted.append("Windows are added up in single precision; nnU-Net adds them in half precision.")
    lines = [f"# {made.table['title']}", "", *made_from, "", "## What it takes for granted", ""]
    lines += [f"- {sentence}" for sentence in granted]
    if made.left_out:
        lines += ["", "## What the source has and this engine does not do", ""]
        lines += [f"- {sentence}" for sentence in made.left_out]
    return "\n".join(lines) + "\n"


def _orientation(made: Made, plan: Plan) -> list[str]:
    turned = made.table["input"][0]["prepare"][0]["orient"]
    if plan.reader in _READERS:
        return [f"Every image is turned to {_READERS[plan.reader]}, as {plan.reader} did in training."]
    return [
        f"{plan.reader} turns no image: the network knows its training images as they lay in their files.",
        f"Their axes are taken to run as `orient` says ({turned}, after nnU-Net's own transposition).",
        "A wrong `orient` gives plausible wrong results: compare it with what nibabel's aff2axcodes says.",
    ]
