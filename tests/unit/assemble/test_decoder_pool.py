"""Decoder processes: the same slices as without them, and what ends one costs one slice."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from dicomnode.assemble import DecoderLimits, DecoderPool, load_volume, read_studies
from dicomnode.assemble.decoders.file import ImplausibleError, UndecodableError
from dicomnode.assemble.decoders.pool import _STARTS
from dicomnode.assemble.decoders.process import how_ended
from dicomnode.assemble.slices import DecodedSlice, decode_here
from dicomnode.faults import (
    DECODE_FAILED,
    DECODER_DIED,
    DECODER_MEMORY,
    DECODER_TOO_LONG,
    DECODERS_DO_NOT_START,
    FILE_UNREADABLE,
    NodeError,
)
from tests.fixtures.processes import stat_of
from tests.unit.assemble.decoders_that_fail import MARK
from tests.unit.assemble.series import Series, write_all
from tests.unit.assemble.test_decoder_file import STORED as FRAMES
from tests.unit.assemble.test_decoder_file import compressed as multi_frame
from tests.unit.assemble.test_decoder_file import headers_of

ROOT = Path(__file__).resolve().parents[3]
STORED = np.random.default_rng(9).integers(-1000, 1000, (9, 40, 56)).astype(np.int16)
BAD = 4


def stack_of(folder, stored=STORED, syntax=JPEGLSLossless):
    datasets = Series(stored=stored).datasets()
    if syntax != ExplicitVRLittleEndian:
        for ds in datasets:
            ds.compress(syntax, generate_instance_uid=False)
    write_all(datasets, folder)
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = series.stacks
    return stack


def marked():
    stored = STORED.copy()
    stored[BAD, 0, 0] = MARK
    return stored


@pytest.fixture
def failing(monkeypatch):
    """Make pools whose decoder does mischief on marked slices."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pools = []

    def make(mischief, **limits):
        command = (sys.executable, "-m", "tests.unit.assemble.decoders_that_fail", mischief)
        pools.append(DecoderPool(DecoderLimits(**{"processes": 2} | limits), command=command))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


@pytest.fixture(scope="module")
def pool():
    with DecoderPool(DecoderLimits(processes=2)) as pool:
        yield pool


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, JPEGLSLossless, RLELossless], ids=lambda uid: uid.name[:20]
)
def test_a_volume_is_the_same_as_without_processes(tmp_path, pool, syntax):
    stack = stack_of(tmp_path, syntax=syntax)
    here, there = load_volume(stack), load_volume(stack, decode=pool)
    assert np.array_equal(here.voxels, there.voxels)
    assert np.array_equal(there.voxels, STORED - 24)
    assert here.headers == there.headers
    assert (here.repairs, here.frames) == (there.repairs, there.frames)


def test_native_pixels_need_no_process(tmp_path):
    stack = stack_of(tmp_path, syntax=ExplicitVRLittleEndian)
    with DecoderPool(DecoderLimits(processes=2)) as pool:
        assert np.array_equal(load_volume(stack, decode=pool).voxels, STORED - 24)
        assert pool.pids == ()


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_rle_stream_is_refused_or_decoded_and_costs_no_process(tmp_path, pool, capfd, seed):
    """The fast decoder is written in Rust, and panics where it should say that a stream is damaged."""
    (header, *_) = headers_of(multi_frame(RLELossless), tmp_path)
    content = bytearray(header.path.read_bytes())
    start = content.index(b"\xe0\x7f\x10\0OB")
    rng = np.random.default_rng(seed)
    for _ in range(40):
        content[rng.integers(start + 92, len(content) - 8)] = rng.integers(128, 256)
    header.path.write_bytes(content)
    (ready,) = pool([header])
    pids = pool.pids
    (one,) = pool([header])
    assert isinstance(one, DecodedSlice | UndecodableError | ImplausibleError)
    assert type(one) is type(ready)
    assert pool.pids == pids
    assert capfd.readouterr() == ("", "")


def test_slices_come_in_the_order_asked_with_one_header_an_instance(tmp_path, pool):
    headers = headers_of(multi_frame(JPEGLSLossless), tmp_path)
    asked = [headers[number] for number in (3, 0, 4, 1, 2)]
    here, there = list(decode_here(asked)), list(pool(asked))
    for one, other, number in zip(here, there, (3, 0, 4, 1, 2), strict=True):
        assert np.array_equal(one.stored, FRAMES[number])
        assert np.array_equal(other.stored, FRAMES[number])
        assert (other.low, other.high) == (FRAMES[number].min(), FRAMES[number].max())
        assert one.encoded_header == other.encoded_header
    assert [bool(one.encoded_header) for one in there] == [True, False, False, False, False]


def test_processes_are_kept_from_one_study_to_the_next_and_their_memory_grows(tmp_path, pool):
    small, large = stack_of(tmp_path / "small"), stack_of(tmp_path / "large", np.repeat(STORED, 9, axis=2))
    assert np.array_equal(load_volume(small, decode=pool).voxels, STORED - 24)
    pids = pool.pids
    assert np.array_equal(load_volume(large, decode=pool).voxels[:, :, ::9], STORED - 24)
    assert np.array_equal(load_volume(small, decode=pool).voxels, STORED - 24)
    assert pool.pids == pids


def page_faults_of(pid):
    return int(stat_of(pid)[7])  # minflt, the tenth field


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless], ids=lambda uid: uid.name[:20])
def test_a_process_keeps_the_memory_of_one_slice_for_the_next(tmp_path, syntax):
    """Asked of the kernel again for each slice, it costs more time than decoding does."""
    stack = stack_of(tmp_path, np.tile(STORED[:4], (1, 10, 8)), syntax)  # slices of 358 kB
    with DecoderPool(DecoderLimits(processes=1)) as pool:
        list(pool(stack.headers))
        list(pool(stack.headers))
        (pid,) = pool.pids
        before = page_faults_of(pid)
        list(pool(stack.headers))
        assert page_faults_of(pid) - before < stack.headers[0].values * 2 // mmap.PAGESIZE


def test_a_process_loads_nothing_that_it_does_not_need():
    """Each is started anew by `dicomnode try`, and one a core by the service."""
    code = "import sys, dicomnode.assemble.decoders.child; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    loaded = set(done.stdout.split())
    assert "dicomnode.store.elements" in loaded
    assert not loaded & {"structlog", "rich", "sqlalchemy", "scipy", "onnxruntime", "dicomnode.store.store"}


def test_what_cannot_be_decoded_is_told_as_without_processes(tmp_path, pool):
    stack = stack_of(tmp_path)
    content = stack.files[2].read_bytes()
    stack.files[2].write_bytes(content[:-60])
    here, there = list(decode_here(stack.headers)), list(pool(stack.headers))
    assert [type(one) for one in there] == [type(one) for one in here]
    assert isinstance(there[2], UndecodableError)
    assert str(there[2]) == str(here[2])
    with pytest.raises(NodeError) as caught:
        load_volume(stack, decode=pool)
    assert caught.value.fault is DECODE_FAILED


def test_implausible_values_are_told_as_such(tmp_path, pool):
    ds = multi_frame(JPEGLSLossless)
    ds.BitsStored, ds.HighBit = 11, 10
    found = list(pool(headers_of(ds, tmp_path)))
    assert {type(one) for one in found} == {ImplausibleError}
    assert "11 bits hold -1024 to 1023" in str(found[0])


def test_a_file_that_is_gone_is_a_failure_of_the_machine(tmp_path, pool):
    stack = stack_of(tmp_path)
    stack.files[3].unlink()
    with pytest.raises(NodeError) as caught:
        load_volume(stack, decode=pool)
    assert caught.value.fault is FILE_UNREADABLE
    assert caught.value.values["path"] == stack.files[3]


def test_what_is_left_undone_is_not_answered_to_the_next_who_asks(tmp_path, pool):
    stack = stack_of(tmp_path)
    slices = pool(stack.headers)
    next(slices)
    slices.close()
    for one, stored in zip(pool(stack.headers[::-1]), STORED[::-1], strict=True):
        assert np.array_equal(one.stored, stored)


@pytest.mark.crash
@pytest.mark.parametrize(
    ("mischief", "fault", "words"),
    [
        ("segfault", DECODER_DIED, "SIGSEGV"),
        ("abort", DECODER_DIED, "SIGABRT"),
        ("leave", DECODER_DIED, "exit status 3"),
        ("hang", DECODER_TOO_LONG, "longer than 2 s"),
        ("allocate_in_c", DECODER_DIED, "SIGABRT"),
    ],
)
def test_a_decoder_that_fails_costs_the_slice_that_it_was_at(tmp_path, failing, mischief, fault, words):
    pool = failing(mischief, time_s=2.0)
    stack = stack_of(tmp_path / "bad", marked())
    found = []
    with pytest.raises(NodeError, match=words) as caught:
        found.extend(pool(stack.headers))  # extend keeps what came before the failure
    assert caught.value.fault is fault
    assert caught.value.fault.code.startswith("DN-306")  # of the images: "not analysed, because"
    assert caught.value.values["sop_instance_uid"] == stack.headers[BAD].sop_instance_uid
    after = load_volume(stack_of(tmp_path / "good"), decode=pool)
    assert np.array_equal(after.voxels, STORED - 24)
    assert len(pool.pids) == 2


@pytest.mark.crash
def test_a_decoder_that_asks_for_more_memory_than_it_may_take_fails_and_goes_on(tmp_path, failing):
    pool = failing("allocate")
    found = list(pool(stack_of(tmp_path, marked()).headers))
    assert [isinstance(one, DecodedSlice) for one in found] == [k != BAD for k in range(len(STORED))]
    assert isinstance(found[BAD], UndecodableError)
    assert "Unable to allocate" in str(found[BAD])


@pytest.mark.crash
def test_a_decoder_that_writes_what_replies_look_like_changes_nothing(tmp_path, failing, capfd):
    volume = load_volume(stack_of(tmp_path, marked()), decode=failing("chatter"))
    assert np.array_equal(volume.voxels, marked() - 24)
    assert capfd.readouterr() == ("", "")


@pytest.mark.crash
def test_a_decoder_reaches_no_network_and_starts_no_program(tmp_path, failing):
    volume = load_volume(stack_of(tmp_path, marked()), decode=failing("reach_out"))
    assert np.array_equal(volume.voxels, marked() - 24)


@pytest.mark.crash
def test_processes_that_were_killed_between_two_studies_are_replaced(tmp_path, failing):
    pool = failing("segfault")
    stack = stack_of(tmp_path)
    load_volume(stack, decode=pool)
    before = pool.pids
    for pid in before:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # a signal takes its time
    assert np.array_equal(load_volume(stack, decode=pool).voxels, STORED - 24)
    assert not set(before) & set(pool.pids)


def saying(*lines):
    """Say this instead of decoding: a process that a stream has taken over."""
    script = f"import sys\nfor line in {list(lines)!r}:\n print(line, flush=True)\n sys.stdin.readline()\n"
    return (sys.executable, "-c", script + "sys.stdin.read()")


READY = '{"ready": 1}'
RIGHT = '"dtype": "<i2", "low": 0, "high": 1, "plugin": "", "hides_more": false'
LIES = {
    "no message": (READY, "nonsense"),
    "no object": (READY, "[1, 2]"),
    "an answer to nothing": (READY, f'{{"number": 77, {RIGHT}, "header": 0}}'),
    "a header without end": (READY, f'{{"number": 0, {RIGHT}, "header": 9999999999999}}'),
    "a header of less than nothing": (READY, f'{{"number": 0, {RIGHT}, "header": -5}}'),
    "pixels of objects": (READY, '{"number": 0, "dtype": "O", "low": 0, "high": 1, "header": 0}'),
    "pixels without a range": (READY, '{"number": 0, "dtype": "<i2", "header": 0}'),
    "too much": (READY, "x" * 70_000),
}


@pytest.mark.crash
@pytest.mark.parametrize("lines", LIES.values(), ids=list(LIES))
def test_a_process_that_says_what_no_decoder_says_is_ended(tmp_path, lines):
    stack = stack_of(tmp_path)
    with DecoderPool(DecoderLimits(processes=1), command=saying(*lines)) as pool:
        with pytest.raises(NodeError) as caught:
            next(pool(stack.headers))
        assert caught.value.fault is DECODER_DIED
        assert pool.pids == ()


@pytest.mark.crash
@pytest.mark.parametrize("command", [("/bin/false",), ("/nowhere/at/all",)])
def test_processes_that_do_not_start_are_a_failure_of_the_machine(tmp_path, command):
    stack = stack_of(tmp_path)
    with DecoderPool(DecoderLimits(processes=1), command=command) as pool, pytest.raises(NodeError) as caught:
        next(pool(stack.headers))
    assert caught.value.fault is DECODERS_DO_NOT_START
    assert not caught.value.fault.code.startswith("DN-3")  # it is tried again
    assert _STARTS > 1


def test_an_image_that_needs_more_memory_than_allowed_is_not_even_asked_for(tmp_path):
    stack = stack_of(tmp_path)
    limits = DecoderLimits(processes=1, memory_bytes=4 * STORED[0].size - 1)
    with DecoderPool(limits) as pool:
        with pytest.raises(NodeError) as caught:
            next(pool(stack.headers))
        assert caught.value.fault is DECODER_MEMORY
        assert pool.pids == ()


def test_nothing_asked_starts_nothing():
    with DecoderPool(DecoderLimits(processes=1)) as pool:
        assert list(pool([])) == []
        assert pool.pids == ()


@pytest.mark.parametrize("wrong", [{"processes": -1}, {"memory_bytes": 0}, {"time_s": float("nan")}])
def test_limits_that_no_decoder_can_work_within_are_refused(wrong):
    with pytest.raises(ValueError, match="no decoder can work"):
        DecoderLimits(**wrong)


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exit status 0"), (-11, "signal 11 (SIGSEGV)"), (-99, "signal 99")],
)
def test_how_a_process_ended_is_said_in_words(status, words):
    assert how_ended(status) == words


def test_slices_hold_memory_of_their_own(tmp_path, pool):
    first, *others = list(pool(stack_of(tmp_path).headers))
    assert isinstance(first, DecodedSlice)
    assert first.stored.flags.owndata
    assert np.array_equal(first.stored, STORED[0])
    assert len(others) == len(STORED) - 1
