"""All real studies pushed in one go: the node goes on, and says of every instance what became of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from dicomnode.assemble import read_studies
from dicomnode.deliver import PushResult, push_study
from dicomnode.journal import StudyState
from dicomnode.net import echo
from tests.unit.cli.test_commands import run  # noqa: F401  fixtures
from tests.wire.any_engines import any_engines
from tests.wire.node import Node, running_node
from tests.wire.peers import store_scp
from tests.wire.plain_engines import series
from tests.wire.test_walk import RESULTS

pytestmark = [
    pytest.mark.wire,
    pytest.mark.real_data,
    pytest.mark.long,
    pytest.mark.xdist_group("all real data"),
    # What others wrote into these files is pydicom's business here, and ours in the node
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
]

DEADLINE_S = 240.0
CODE = re.compile(r"\bDN-\d{4}\b")
EXCEPTION = re.compile(r"Traceback|\b[A-Z]\w+(?:Error|Exception|Warning)\b")
LETTERS = re.compile(r"[^\W\d_]{4,}")
# Of each folder or file below it, all that may become of its images: "findings", or the code of a reason
OUTCOMES = {
    "brain-mr-ge-oblique": {"findings"},
    "charsets-fo-dicom/chrKoreanMulti.dcm": {"DN-3063"},
    "charsets-fo-dicom/chrRuss.dcm": {"findings"},
    "chest-ct-acrin-042": {"findings"},
    "chest-ct-lidc-0001": {"findings"},
    "chest-ct-nlst-101287/ct": {"findings"},
    "chest-ct-nlst-101287/sr": {"DN-3002"},
    "codecs-multi-fragment": {"findings"},
    "codecs-one-ct-all-syntaxes": {"DN-3008", "DN-2003"},
    "codecs-wg04/CT1_RLE": {"DN-3007"},
    "codecs-wg04/US1_RLE": {"findings"},
    "head-ct-ge-tilt": {"findings"},
    "head-ct-philips-scout": {"DN-3013"},
    "odd-pydicom-data/HTJ2K_08_RGB.dcm": {"DN-2004"},
    "odd-pydicom-data/OBXXXX1A.dcm": {"findings"},
    "odd-pydicom-data/eCT_Supplemental.dcm": {"DN-3007"},
    "odd-pydicom-data/emri_small.dcm": {"DN-3050"},
    "odd-pydicom-data/mlut_18.dcm": {"findings"},
    "odd-pydicom-data/parametric_map_float.dcm": {"DN-3012"},
    "pet-qin-headneck/pet": {"findings"},
    "pet-qin-headneck/seg": {"DN-3002"},
    "rtstruct-rt-utils": {"DN-3002", "DN-3007"},
    "seg-sr-pm-dcmqi/24x38x3": {"findings"},
    "traps-geometry-noise/ct-missing-slice-ge": {"DN-3005"},
    "traps-geometry-noise/ct-one-position-siemens": {"DN-3008"},
    "traps-geometry-noise/mr-enhanced-philips": {"DN-3003"},
    "traps-geometry-noise/mr-mosaic-siemens": {"DN-3012"},
    "traps-geometry-noise/mr-rgb-secondary-capture": {"findings"},
}


@dataclass(frozen=True)
class Sent:
    """A file that was pushed. patient: what its header says of who it is of, and no log may say."""

    path: Path
    study_uid: str
    sop_uid: str
    patient: frozenset[str]


@dataclass(frozen=True)
class Pushed:
    """All files, what the push said of them, and the node that has taken them and ended all their studies."""

    root: Path
    node: Node
    sent: tuple[Sent, ...]
    result: PushResult

    @property
    def taken(self) -> list[Sent]:
        failed = {one.path for one in self.result.failed}
        return [one for one in self.sent if one.path not in failed]


@pytest.fixture(scope="module")
def pushed(real_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    root = real_data(".").resolve()
    folder = tmp_path_factory.mktemp("all")
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and is_dicom(path)]
    with (
        store_scp(contexts=RESULTS) as archive,
        running_node(
            folder / "node",
            list(any_engines(folder / "engines")),
            archive.peer,
            analyse={"runtime": "onnxruntime"},
        ) as node,
    ):
        result = push_study(node.peer, "SCANNER", files, prefer_dcmtk=False)
        every = Pushed(root, node, tuple(map(header_of, files)), result)
        node.wait_for_all({one.study_uid for one in every.taken}, DEADLINE_S)
        yield every


def is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def header_of(path: Path) -> Sent:
    header = dcmread(path, stop_before_pixels=True)
    names = re.split(r"[\^=]", str(header.get("PatientName", "")))
    said = {word.strip() for word in (*names, str(header.get("PatientID", "")))}
    return Sent(
        path=path,
        study_uid=str(header.get("StudyInstanceUID", "")),
        sop_uid=str(header.get("SOPInstanceUID", "")),
        patient=frozenset(word for word in said if LETTERS.search(word)),
    )


@pytest.fixture
def why(pushed: Pushed, run: Any) -> Callable[[str], dict[str, Any]]:  # noqa: F811
    """Give what `dicomnode why STUDY --json` says."""

    def ask(study_uid: str) -> dict[str, Any]:
        status, out, _ = run("why", study_uid, "--config", pushed.node.config, "--json")
        assert status == 0
        return dict(json.loads(out))

    return ask


def outcomes(node: Node, study_uid: str, told: dict[str, Any]) -> dict[str, set[str]]:
    """Say of each SOP Instance UID of a study what `why` tells of it: findings, or codes of reasons."""
    with node.journal() as journal:
        reading = read_studies([one.path for one in journal.instances(study_uid)])
    story = [event["text"] for event in told["what_happened"]]
    found: dict[str, set[str]] = {}
    for aside in reading.set_aside:
        assert any(text.endswith(f": {aside.text} ({aside.code})") for text in story), aside.text
        found.setdefault(str(aside.sop_instance_uid), set()).add(aside.code)
    for of_series in (one for study in reading.studies for one in study.series):
        for stack in of_series.stacks:
            what = _of_stack(told, of_series.series_instance_uid, stack.facts.stack)
            for header in stack.headers:
                found.setdefault(header.sop_instance_uid, set()).update(what)
    return found


def _of_stack(told: dict[str, Any], series_uid: str, stack: int) -> set[str]:
    verdicts = [
        one for one in told["verdicts"] if (one["series_instance_uid"], one["stack"]) == (series_uid, stack)
    ]
    taken_by = {one["engine"] for one in verdicts if one["chosen"]}
    found = {one["found"] for one in verdicts if not one["chosen"] and CODE.fullmatch(one["found"])}
    for one in told["analyses"]:
        if one["series_instance_uid"] == series_uid and one["engine"].partition(":")[0] in taken_by:
            codes = {said["code"] for said in one["remarks"]}
            found |= {"findings"} if one["outcome"] == "findings" else codes
    return found


def test_what_was_not_taken_has_a_reason_by_name_here_and_in_the_log_of_the_node(pushed: Pushed) -> None:
    assert pushed.result.sent + len(pushed.result.failed) == len(pushed.sent)
    for failure in pushed.result.failed:
        assert re.match(r"DN-200[34] ", failure.text), failure
    refused = pushed.node.lines("instance.refused")
    asked = [one for one in pushed.result.failed if one.text.startswith("DN-2004 ")]
    assert len(refused) == len(asked)
    for line in refused:
        assert CODE.fullmatch(line["code"])
        assert line["text"]


def test_every_study_has_ended_and_no_process_was_lost(pushed: Pushed) -> None:
    uids = {one.study_uid for one in pushed.taken}
    studies = pushed.node.wait_for_all(uids)
    assert {one.state for one in studies} == {StudyState.DONE, StudyState.REFUSED}
    assert all(one.reason for one in studies if one.state is StudyState.REFUSED)
    started = Counter(line["process"] for line in pushed.node.lines("process.started"))
    assert started
    assert set(started.values()) == {1}
    errors = {(line["event"], line["code"]) for line in pushed.node.lines() if line["level"] == "error"}
    assert errors <= {("instance.conflict", "DN-1008")}, "other content under a known UID is told loudly"


def test_of_every_instance_a_person_can_read_what_became_of_it(
    pushed: Pushed, why: Callable[[str], dict[str, Any]]
) -> None:
    found: dict[str, set[str]] = {}
    for study_uid in sorted({one.study_uid for one in pushed.taken}):
        found |= outcomes(pushed.node, study_uid, why(study_uid))
    silent = [str(one.path) for one in pushed.taken if not found.get(one.sop_uid)]
    assert not silent
    became = {one.path: found[one.sop_uid] for one in pushed.taken}
    became |= {failure.path: set(CODE.findall(failure.text)[:1]) for failure in pushed.result.failed}
    seen = {
        name: set().union(*(what for path, what in became.items() if path.is_relative_to(pushed.root / name)))
        for name in OUTCOMES
    }
    assert seen == OUTCOMES


def test_what_came_with_other_content_under_a_known_uid_is_named_and_kept_apart(
    pushed: Pushed, why: Callable[[str], dict[str, Any]]
) -> None:
    often = Counter((one.study_uid, one.sop_uid) for one in pushed.taken)
    told = [
        (study_uid, event["text"])
        for study_uid in {study_uid for (study_uid, _), times in often.items() if times > 1}
        for event in why(study_uid)["what_happened"]
        if event["what"] == "instance.conflict"
    ]
    assert len(told) == len(list((pushed.node.folder / "store" / "quarantine" / "conflict").iterdir()))
    assert told
    for study_uid, text in told:
        assert text.endswith("(DN-1008)")
        assert any(uid in text for study, uid in often if study == study_uid), text


def test_no_reason_is_a_raw_exception(pushed: Pushed, why: Callable[[str], dict[str, Any]]) -> None:
    said = [failure.text for failure in pushed.result.failed]
    for study_uid in {one.study_uid for one in pushed.taken}:
        told = why(study_uid)
        said += [event["text"] for event in told["what_happened"]]
        said += [f"{one['rule']} {one['found']}" for one in told["verdicts"]]
        said += [one["outcome"] for one in told["analyses"]]
        said += [remark["text"] for one in told["analyses"] for remark in one["remarks"]]
    assert [text for text in said if EXCEPTION.search(text)] == []
    assert [line for line in pushed.node.lines() if EXCEPTION.search(json.dumps(line))] == []


def test_no_name_or_id_of_a_patient_is_in_the_log(pushed: Pushed) -> None:
    log = "\n".join(json.dumps(line, ensure_ascii=False) for line in pushed.node.lines())
    words = frozenset().union(*(one.patient for one in pushed.sent))
    assert len(words) > 20
    assert sorted(word for word in words if word in log) == []


def test_the_command_says_the_same_of_a_refused_and_of_a_finished_study(
    pushed: Pushed, why: Callable[[str], dict[str, Any]]
) -> None:
    studies = pushed.node.wait_for_all({one.study_uid for one in pushed.taken})
    uids = {one.state: one.study_instance_uid for one in studies}
    assert set(uids) == {StudyState.DONE, StudyState.REFUSED}
    for uid in uids.values():
        arguments = ["why", uid, "--config", str(pushed.node.config), "--json"]
        command = [sys.executable, "-m", "dicomnode", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == why(uid)


def test_the_node_still_answers_and_takes_a_further_study(pushed: Pushed, tmp_path: Path) -> None:
    echo(pushed.node.peer, "SCANNER")
    files = series(tmp_path / "ct", 1)
    assert push_study(pushed.node.peer, "SCANNER", files, prefer_dcmtk=False).sent == len(files)
    uid = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    assert pushed.node.wait_for(uid).state is StudyState.DONE
