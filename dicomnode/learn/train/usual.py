"""What a training takes where nobody has said otherwise: by its task, and by its network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_OF_TASK: Final[Mapping[str, Mapping[str, Any]]] = {
    # Their norms are means over a step: those of two studies are hardly those of all
    "classify": {"batch": 8},
    "regress": {"batch": 8},
    # What is normal is drawn well, or nothing stands out; and what is turned or made larger is not normal
    "anomaly": {
        "batch": 8,
        "learning_rate": 5e-3,
        "augmentation": {"rotate_degrees": 0.0, "scale_percent": 0.0},
    },
    "generator": {"batch": 8, "levels": 3, "width": 32},
}
_OF_NETWORK: Final[Mapping[str, Mapping[str, Any]]] = {"small_resnet": {"learning_rate": 5e-3}}


def with_usual(table: Mapping[str, Any], task: str, network: str) -> dict[str, Any]:
    """Return the table of a recipe with what is usual in its task and for its network, where it is silent."""
    return _filled(_filled(table, _OF_TASK.get(task, {})), _OF_NETWORK.get(network, {}))


def _filled(table: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(table)
    for name, value in usual.items():
        if not isinstance(value, Mapping):
            made.setdefault(name, value)
        elif isinstance(made.setdefault(name, {}), dict):
            made[name] = {**value, **made[name]}
    return made
