"""Damaged streams in decoder processes: each ends in pixels or a reason, and nothing outlives its parent."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from dicomnode.assemble import DecoderLimits, DecoderPool, load_volume, read_studies
from dicomnode.faults import NodeError
from tests.fixtures.processes import state_of
from tests.unit.assemble.series import Series, write_all
from tests.unit.assemble.test_decoder_pool import ROOT, STORED, marked, stack_of
from tests.wire.peers import until

pytestmark = [pytest.mark.crash, pytest.mark.slow]

DAMAGED = 60
IMAGE = np.random.default_rng(4).integers(-1000, 1000, (1, 128, 96)).astype(np.int16)


def damaged_streams(syntax, folder):
    """Headers of one image, its codestream damaged in as many ways; the same ones each time."""
    (ds,) = Series(stored=IMAGE).datasets()
    ds.compress(syntax, generate_instance_uid=False)
    (path,) = write_all([ds], folder / "whole")
    ds = dcmread(path)
    stream = next(generate_frames(ds.PixelData, number_of_frames=1)).rstrip(b"\0")
    header = read_studies([path]).studies[0].series[0].stacks[0].headers[0]
    for seed in range(DAMAGED):
        chance, damaged = random.Random(seed), bytearray(stream)
        for _ in range(chance.choice((1, 3, 9))):
            damaged[chance.randrange(2, min(len(stream), chance.choice((64, 200, len(stream)))))] = (
                chance.randrange(256)
            )
        ds.PixelData = encapsulate([bytes(damaged)])
        ds["PixelData"].VR = "OB"
        file = folder / f"{seed}.dcm"
        ds.save_as(file)
        yield replace(header, path=file)


@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.name[:12]
)
@pytest.mark.parametrize("second", [False, True], ids=["the first decoder", "the second decoder"])
def test_every_damaged_stream_ends_in_pixels_or_in_a_reason(tmp_path, syntax, second):
    first = {RLELossless: None, JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pillow"}[syntax]
    headers = list(damaged_streams(syntax, tmp_path))
    outcomes = []
    with DecoderPool(DecoderLimits(processes=2, time_s=20.0)) as pool:
        while len(outcomes) < len(headers):
            rest = pool(headers[len(outcomes) :], other_than=first if second else None)
            try:
                outcomes.extend(type(one).__name__ for one in rest)  # what came before a failure counts
            except NodeError as error:
                outcomes.append(error.fault.code)
        assert np.array_equal(load_volume(stack_of(tmp_path / "after"), decode=pool).voxels, STORED - 24)
    assert set(outcomes) <= {"DecodedSlice", "UndecodableError", "ImplausibleError", "DN-3060", "DN-3061"}
    assert outcomes.count("UndecodableError") > 0


PARENT = """
import sys
from pathlib import Path
from dicomnode.assemble import DecoderLimits, DecoderPool, read_studies
stack = read_studies([Path(sys.argv[1])]).studies[0].series[0].stacks[0]
command = (sys.executable, "-m", "tests.unit.assemble.decoders_that_fail", "hang")
pool = DecoderPool(DecoderLimits(processes=2, time_s=600.0), command=command)
slices = pool(stack.headers)
next(slices)
print(*pool.pids, flush=True)
list(slices)
"""


def test_decoders_that_hang_end_with_the_process_that_started_them(tmp_path):
    stack_of(tmp_path, marked())
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    ) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(state_of(pid) for pid in pids)
        parent.send_signal(signal.SIGKILL)
    until(lambda: not any(state_of(pid) for pid in pids), "the decoders end")
