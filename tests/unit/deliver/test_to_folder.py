"""Results in a folder: whole or not at all, whoever looks, and whatever is the matter with the folder."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from dicomnode.deliver import FileOutcome
from dicomnode.deliver.to_folder import FolderRoute
from dicomnode.faults import COMMITMENT_REFUSED, FOLDER_FAILED, SEND_UNREADABLE, NodeError
from dicomnode.net.rate import Rate
from dicomnode.store.disk import SharedDisk
from tests.wire.small_objects import STUDY, write_object, write_objects

SERIES = f"{STUDY}.1"


def sent(
    folder: Path, files: list[Path], *, stop: bool = False, rate: Rate | None = None
) -> list[FileOutcome]:
    told: list[FileOutcome] = []
    stopping = threading.Event()
    if stop:
        stopping.set()
    outcomes = FolderRoute("share", folder, rate).send(
        files, on_outcome=told.append, on_negotiated=lambda _: True, stop=stopping
    )
    assert outcomes == told
    return outcomes


@pytest.fixture
def share(tmp_path: Path) -> Path:
    folder = tmp_path / "share"
    folder.mkdir()
    return folder


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_objects(tmp_path, 2)


def all_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_each_object_lies_in_the_folder_of_its_series_byte_for_byte(share: Path, files: list[Path]) -> None:
    outcomes = sent(share, files)
    assert [one.outcome for one in outcomes] == ["stored"] * 2
    assert all_files(share) == [f"{STUDY}/{SERIES}/{SERIES}.{n}.dcm" for n in (1, 2)]
    for one, file in zip(outcomes, files, strict=True):
        assert (share / STUDY / SERIES / f"{one.sop_instance_uid}.dcm").read_bytes() == file.read_bytes()


def test_what_is_written_twice_is_there_once(share: Path, files: list[Path]) -> None:
    sent(share, files)
    assert [one.outcome for one in sent(share, files)] == ["stored"] * 2
    assert len(all_files(share)) == 2


def test_what_lies_there_is_listed_by_series(share: Path, files: list[Path]) -> None:
    sent(share, files)
    route = FolderRoute("share", share)
    assert route.lists(STUDY, [SERIES]) is None, "who takes the files away has them"
    with pytest.raises(NodeError) as caught:
        route.ask_commitment("2.25.1", [])
    assert caught.value.fault is COMMITMENT_REFUSED


def test_a_share_that_is_not_mounted_gets_nothing_below_its_name(tmp_path: Path, files: list[Path]) -> None:
    outcomes = sent(tmp_path / "none", files)
    assert [(one.outcome, one.fault and one.fault.fault) for one in outcomes] == [
        ("retry", FOLDER_FAILED)
    ] * 2
    assert "not there" in outcomes[0].text
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("step", ["create", "write", "fdatasync", "close", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_no_half_file_stays_where_the_disk_fails(
    share: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(SharedDisk, step, fails)
        outcomes = sent(share, files)
    assert [(one.outcome, one.fault and one.fault.fault) for one in outcomes] == [
        ("retry", FOLDER_FAILED)
    ] * 2
    assert os.strerror(number) in outcomes[0].text
    assert all_files(share) == []
    assert [one.outcome for one in sent(share, files)] == ["stored"] * 2


def test_a_folder_in_which_nobody_may_write_says_so(share: Path, files: list[Path]) -> None:
    (share / STUDY).write_text("somebody's file")  # where a folder is to be
    (outcome, _) = sent(share, files)
    assert outcome.outcome == "retry"
    assert (share / STUDY).read_text() == "somebody's file"


def test_what_is_no_object_is_refused_and_the_others_go_on(
    share: Path, tmp_path: Path, files: list[Path]
) -> None:
    text = tmp_path / "text.dcm"
    text.write_text("no DICOM")
    outcomes = sent(share, [text, tmp_path / "gone.dcm", *files])
    assert [one.outcome for one in outcomes] == ["refused", "refused", "stored", "stored"]
    assert [one.fault and one.fault.fault for one in outcomes[:2]] == [SEND_UNREADABLE] * 2


def test_a_uid_never_leads_out_of_the_folder(share: Path, tmp_path: Path) -> None:
    file = write_object(tmp_path / "a.dcm", 1)
    begin = b"\x20\x00\x0d\x00UI" + len(STUDY).to_bytes(2, "little")  # (0020,000D), Explicit VR
    outside = "../out".ljust(len(STUDY), "/").encode()
    content = file.read_bytes().replace(begin + STUDY.encode(), begin + outside)
    assert outside in content
    file.write_bytes(content)
    (outcome,) = sent(share, [file])
    assert outcome.outcome == "refused"
    assert all_files(share) == []
    assert not (tmp_path / "out").exists()


def test_a_stop_leaves_what_was_not_tried_for_later(share: Path, files: list[Path]) -> None:
    outcomes = sent(share, files, stop=True)
    assert [(one.outcome, one.fault) for one in outcomes] == [("retry", None)] * 2
    assert all_files(share) == []


def test_no_more_bytes_are_written_in_a_second_than_are_to(share: Path, tmp_path: Path) -> None:
    waits: list[float] = []
    rate = Rate(1.0, lambda: sum(waits), waits.append)
    files = [write_object(tmp_path / f"{n}.dcm", n, pixels=bytes(500_000)) for n in (1, 2, 3)]
    sent(share, files, rate=rate)
    assert sum(waits) == pytest.approx(1.0, abs=0.01), "the third waits for the first two"
