"""Pushing a study, with storescu and without: both tell each answer as it comes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pydicom.encaps import encapsulate

from dicomnode.deliver import push_study
from dicomnode.faults import NodeError
from tests.wire.peers import EXPLICIT_LE, IMPLICIT_LE, free_port, peer_at, program, store_scp
from tests.wire.small_objects import CT, SEG, STUDY, write_object, write_objects

pytestmark = pytest.mark.wire

RLE = "1.2.840.10008.1.2.5"


@pytest.fixture(params=["storescu", "dicomnode"])
def tool(request: pytest.FixtureRequest) -> str:
    if request.param == "storescu":
        program("storescu")
    return str(request.param)


def test_a_push_sends_every_file_and_counts_them(tmp_path: Path, tool: str) -> None:
    folder = tmp_path / "a study with spaces"
    folder.mkdir()
    files = write_objects(folder, 20)
    told: list[tuple[int, int, int]] = []
    with store_scp() as scp:
        result = push_study(
            scp.peer,
            "SCANNER",
            files,
            lambda done, total: told.append((done, total, len(scp.stored))),
            prefer_dcmtk=tool == "storescu",
        )
    assert (result.tool, result.sent, result.failed) == (tool, 20, ())
    assert [(done, total) for done, total, _ in told] == [(n, 20) for n in range(1, 21)]
    assert told[0][2] < 20  # it was told while the sending went on
    assert sorted(scp.stored) == sorted(f"{STUDY}.1.{n}" for n in range(1, 21))


def test_several_transfer_syntaxes_and_classes_are_pushed_as_they_are(tmp_path: Path, tool: str) -> None:
    files = [
        write_object(tmp_path / "ct.dcm", 1),
        write_object(tmp_path / "seg.dcm", 2, sop_class=SEG),
        write_object(tmp_path / "implicit.dcm", 3, syntax=IMPLICIT_LE),
        write_object(tmp_path / "rle.dcm", 4, syntax=RLE, pixels=encapsulate([bytes(64)])),
    ]
    supported = ((CT, (EXPLICIT_LE, IMPLICIT_LE, RLE)), (SEG, (EXPLICIT_LE,)))
    with store_scp(contexts=supported) as scp:
        result = push_study(scp.peer, "SCANNER", files, prefer_dcmtk=tool == "storescu")
    assert (result.sent, result.failed) == (4, ())
    assert len(scp.stored) == 4


def test_what_the_peer_refuses_is_named_with_its_reason(tmp_path: Path, tool: str) -> None:
    files = write_objects(tmp_path, 6)
    answers = [0x0000, 0xB000, 0xA700, 0xC000, 0x0111, 0x0122]
    with store_scp(lambda _event, number: answers[number]) as scp:
        result = push_study(scp.peer, "SCANNER", files, prefer_dcmtk=tool == "storescu")
    assert result.sent == 3  # also the warning, and the one that was there already
    assert [failure.path for failure in result.failed] == [files[2], files[3], files[5]]
    assert all(failure.text for failure in result.failed)


def test_a_file_that_is_no_dicom_and_one_without_a_context_fail_alone(tmp_path: Path, tool: str) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no DICOM" * 100)
    seg = write_object(tmp_path / "seg.dcm", 9, sop_class=SEG)
    files = [text, seg, *write_objects(tmp_path, 2)]
    told: list[int] = []
    with store_scp() as scp:
        result = push_study(
            scp.peer, "SCANNER", files, lambda done, _: told.append(done), prefer_dcmtk=tool == "storescu"
        )
    assert result.sent == 2
    assert {failure.path for failure in result.failed} == {text, seg}
    assert told[-1] == 4


def test_an_association_that_ends_in_the_middle_leaves_the_rest_as_failed(tmp_path: Path, tool: str) -> None:
    files = write_objects(tmp_path, 4)

    def abort(event: object, number: int) -> int:
        if number >= 1:
            event.assoc.abort()  # type: ignore[attr-defined]
        return 0

    with store_scp(abort) as scp:
        result = push_study(scp.peer, "SCANNER", files, prefer_dcmtk=tool == "storescu")
    assert result.sent == 1
    assert {failure.path for failure in result.failed} == set(files[1:])


def test_a_push_to_nobody_fails_with_the_reason(tmp_path: Path, tool: str) -> None:
    with pytest.raises(NodeError) as failure:
        push_study(
            peer_at(free_port()), "SCANNER", write_objects(tmp_path, 2), prefer_dcmtk=tool == "storescu"
        )
    assert failure.value.fault.code == "DN-2001"
    assert "refused" in str(failure.value)


def test_a_push_with_an_ae_title_that_is_not_known_is_rejected(tmp_path: Path, tool: str) -> None:
    with (
        store_scp(require_calling_aet=["SOMEBODY"]) as scp,
        pytest.raises(NodeError) as failure,
    ):
        push_study(scp.peer, "SCANNER", write_objects(tmp_path, 2), prefer_dcmtk=tool == "storescu")
    assert failure.value.fault.code == "DN-2002"
    assert "calling AE title" in str(failure.value).replace("AE Title", "AE title").replace(
        "Calling", "calling"
    )


def test_without_storescu_the_node_sends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name, **_: None)
    with store_scp() as scp:
        result = push_study(scp.peer, "SCANNER", write_objects(tmp_path, 1))
    assert (result.tool, result.sent) == ("dicomnode", 1)


def test_what_storescu_cannot_be_given_goes_without_it(tmp_path: Path) -> None:
    quoted = tmp_path / 'a "quoted" folder'
    quoted.mkdir()
    with store_scp() as scp:
        result = push_study(scp.peer, "SCANNER", write_objects(quoted, 2))
    assert (result.tool, result.sent) == ("dicomnode", 2)
