"""Frames in time as what a network sees: so many of them, evenly timed, of one size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from dicomnode.faults import NOTHING_TO_LEARN, NodeError
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.plan import INPUT, Plan, Table, rules_of
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.shapes import shape_of

_SIDE: Final = 112  # rows and columns, unless they are given
_MOST_FRAMES: Final = 64
_COVERED: Final = 90.0  # percent of the cines whose frames are all seen
_DIGITS: Final = 3  # of a rate


def plan_cines(recipe: Recipe, cases: Sequence[Case]) -> Plan:
    """Decide rate, frames, size and colour of cines from the training part; NodeError(NOTHING_TO_LEARN).

    Of longer cines the frames in the middle are seen; of shorter ones the first and the last stand still.
    """
    rate = recipe.frames_per_s or _usual_rate(cases)
    shape = recipe.patch_kji or (_frames(cases, rate), _SIDE, _SIDE)
    colour = any(bool(case.stack.facts.facts.get("colour")) for case in cases)
    require, _ = rules_of(cases)
    table: Table = {
        "name": INPUT,
        "kind": "cine",
        "require": require,
        "picture": {"colour": "rgb" if colour else "grey", "frames_per_s": rate},
        "prepare": [
            {"letterbox": {"shape_ji": list(shape[1:])}},
            {"crop_centre": {"shape_kji": list(shape)}},
            {"pad": {"shape_kji": list(shape), "mode": "edge"}},
            {"z_score": {}},
        ],
    }
    return Plan(
        input=table,
        shape=shape_of(shape, (1.0, 1.0, 1.0), recipe.levels),
        spacing_kji_mm=(1.0, 1.0, 1.0),
        pad_value=0.0,
        in_hu=False,
        channels=3 if colour else 1,
    )


def _usual_rate(cases: Sequence[Case]) -> float:
    """Return the median of the frames a second that the cines have."""
    rates = [
        float(rate) for one in cases if isinstance(rate := one.stack.facts.facts.get("frames_per_s"), float)
    ]
    if not rates:
        raise NodeError(
            NOTHING_TO_LEARN,
            task="motion",
            reason="no cine of the training part says when its frames were taken (Frame Time)",
            advice="Give cines with Frame Time or Frame Time Vector.",
        )
    return round(float(np.median(rates)), _DIGITS)


def _frames(cases: Sequence[Case], rate: float) -> int:
    """Return how many frames at that rate nearly all of the cines have, in multiples of 4."""
    counts = []
    for case in cases:
        facts = case.stack.facts.facts
        frames, own = facts.get("frames"), facts.get("frames_per_s")
        if isinstance(frames, int) and isinstance(own, float):
            counts.append((frames - 1) / own * rate + 1)
    wanted = math.ceil(float(np.percentile(counts, _COVERED)) / 4 - 1e-6) * 4 if counts else _MOST_FRAMES
    return min(max(wanted, 4), _MOST_FRAMES)


def is_cine(plan: Plan) -> bool:
    """Tell whether frames in time go in."""
    return bool(plan.input["kind"] == "cine")
