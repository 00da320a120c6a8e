"""Slices decoded ahead of their volume: the same volume, in bounded memory, and nothing depends on them."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread

from dicomnode.assemble import SlicesAhead, load_volume, read_studies
from dicomnode.assemble.slices import decode_here
from dicomnode.faults import DECODE_FAILED, NodeError
from tests.unit.assemble.series import Series

PLENTY = 10**9


@pytest.fixture
def stack(tmp_path):
    Series().write(tmp_path)
    return read_studies([tmp_path]).studies[0].series[0].stacks[0]


def filled(stack, limit_bytes=PLENTY, decode=decode_here):
    ahead = SlicesAhead(limit_bytes, decode)
    for path in stack.files:
        header = ahead.header_of(path)
        if header is not None:
            ahead.decode(header)
    return ahead


def test_a_volume_of_slices_decoded_ahead_is_the_same_and_opens_no_file(stack):
    plain = load_volume(stack)
    asked = []

    def decode(headers, *, other_than=None):
        asked.append(len(headers))
        return decode_here(headers, other_than=other_than)

    ahead = filled(stack, decode=decode)
    asked.clear()
    early = load_volume(stack, decode=ahead)
    assert sum(asked) == 0
    assert np.array_equal(early.voxels, plain.voxels)
    assert early.headers == plain.headers
    assert (early.repairs, early.frames) == (plain.repairs, plain.frames)


def test_a_second_engine_finds_the_slices_as_the_first_did(stack):
    ahead = filled(stack)
    first, second = (load_volume(stack, decode=ahead) for _ in range(2))
    assert np.array_equal(first.voxels, second.voxels)


def test_the_oldest_slices_are_let_go_when_memory_is_short(stack):
    (first,) = decode_here(stack.headers[:1])
    one = first.nbytes
    ahead = filled(stack, limit_bytes=2 * one + one // 2)
    assert len(ahead) == 2
    assert ahead.held_bytes <= 2 * one + one // 2
    assert [path in ahead._slices for path in stack.files] == [False] * 4 + [True] * 2
    assert all(ahead.knows(path) for path in stack.files)  # none is decoded a second time
    assert np.array_equal(load_volume(stack, decode=ahead).voxels, load_volume(stack).voxels)


def test_a_slice_larger_than_the_memory_is_not_kept(stack):
    ahead = filled(stack, limit_bytes=10)
    assert (len(ahead), ahead.held_bytes) == (0, 0)


def test_what_is_let_go_gives_its_memory_back(stack):
    ahead = filled(stack)
    ahead.let_go(frozenset(stack.files[:4]))
    assert len(ahead) == 2
    ahead.let_go(frozenset(stack.files))
    assert (len(ahead), ahead.held_bytes) == (0, 0)


def test_a_file_that_another_has_replaced_is_decoded_again_and_counted_once(stack, tmp_path):
    ahead = filled(stack)
    held = ahead.held_bytes
    replaced = stack.files[1]
    header = dcmread(replaced)
    header.PatientName = "Right^Name"
    header.save_as(tmp_path / "corrected")
    (tmp_path / "corrected").replace(replaced)
    assert not ahead.knows(replaced)
    (given,) = ahead([one for one in stack.headers if one.path == replaced])
    assert b"Right^Name" in given.encoded_header
    ahead.decode(ahead.header_of(replaced))
    assert ahead.knows(replaced)
    assert len(ahead) == len(stack.files)
    assert abs(ahead.held_bytes - held) < 1000, "the old slice is still counted"


def test_what_is_damaged_is_told_when_the_volume_is_made(stack):
    broken = stack.files[2]
    broken.write_bytes(broken.read_bytes()[:-20])
    ahead = filled(stack)
    assert len(ahead) == 5
    assert ahead.knows(broken)
    with pytest.raises(NodeError) as caught:
        load_volume(stack, decode=ahead)
    assert caught.value.fault is DECODE_FAILED


def test_what_is_no_image_is_looked_at_once(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("no image")
    ahead = SlicesAhead(PLENTY)
    assert ahead.header_of(path) is None
    assert ahead.header_of(tmp_path / "nowhere") is None
    assert ahead.knows(path)
