"""Objects that lie: changed after they were written, each in one way, and found by the guard in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.faults import GEOMETRY_GUARD, NodeError
from dicomnode.report.mismatch.error import MismatchError

Change = Callable[[Dataset], None]
Lies = Mapping[str, tuple[Change, str]]  # name → what is changed, and words of what the guard says


def changed(content: bytes, change: Change) -> bytes:
    """The object with something changed, written anew."""
    read = dcmread(BytesIO(content))
    change(read)
    buffer = BytesIO()
    read.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def set_to(**values: object) -> Change:
    """Set attributes of the whole object."""

    def change(read: Dataset) -> None:
        for keyword, value in values.items():
            setattr(read, keyword, value)

    return change


def of_another(sop_class: str) -> Lies:
    """The lies that an object of every kind can tell. sop_class: another one."""
    return {
        "another patient": (set_to(PatientID="PAT-8"), "another patient"),
        "another study": (set_to(StudyInstanceUID="1.2.3"), "study"),
        "another class": (set_to(SOPClassUID=sop_class), "SOP Class"),
    }


def points_changed(
    graphics: Callable[[Dataset], Sequence[Dataset]],
    change: Callable[[np.ndarray], np.ndarray],
    only: int | None = None,
) -> Change:
    """Change the points (n, 2), column and row, of all graphics of an object, or of one of them."""

    def of_all(read: Dataset) -> None:
        for n, one in enumerate(graphics(read)):
            if only is None or n == only:
                points = np.atleast_1d(np.array(one.GraphicData, dtype=float)).reshape(-1, 2)
                one.GraphicData = change(points).ravel().tolist()

    return of_all


def shrunk(to: float) -> Callable[[np.ndarray], np.ndarray]:
    """Points around the same middle, so many times as far from it."""
    return lambda points: points.mean(axis=0) + (points - points.mean(axis=0)) * to


def expect_found(check: Callable[[bytes], object], content: bytes, lie: tuple[Change, str]) -> None:
    """Tell the lie, and see that the guard finds it, says so in these words and keeps what lies."""
    change, words = lie
    lying = changed(content, change)
    with pytest.raises(NodeError, match=words) as caught:
        check(lying)
    assert caught.value.fault is GEOMETRY_GUARD
    assert caught.value.remedy
    assert isinstance(caught.value, MismatchError)
    assert caught.value.contents == (lying,)
