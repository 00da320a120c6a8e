"""The face of the room: whole, and light."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dicomnode import device, engine


@pytest.mark.parametrize("room", [engine, device], ids=lambda room: room.__name__)
def test_every_name_of_the_face_is_there_and_is_no_module(room):
    for name in room.__all__:
        assert not isinstance(getattr(room, name), type(sys)), name


def test_a_name_that_is_not_there_is_said():
    with pytest.raises(AttributeError, match="nothing"):
        _ = engine.nothing
    with pytest.raises(AttributeError, match="nothing"):
        _ = device.nothing


def test_matching_loads_neither_arrays_nor_a_runtime():
    code = """
import sys
from dicomnode.engine import Manifest, match, wanted_but_refused
print(sorted({"numpy", "scipy", "onnxruntime", "pydicom", "highdicom"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
