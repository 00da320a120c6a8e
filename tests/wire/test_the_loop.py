"""The whole loop: an engine that misses small lesions, corrections of its results, a better engine, live.

Real commands and a real node over real sockets; the reader who corrects the results is played by the truth
of the phantoms.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicomnode.deliver import push_study
from dicomnode.evaluate.data import LabelledStudy, read_labelled
from dicomnode.evaluate.feedback.placed import overlap
from dicomnode.faults import EXIT_ENGINE
from dicomnode.journal import StudyState, TaskKind, TaskState
from dicomnode.learn.generate.drawn import LESION, TrueSegment
from dicomnode.learn.generate.items import item
from dicomnode.learn.generate.segmentation import build_segmentation
from dicomnode.values import AnnotatedSegment, FindingKind, derive_uid
from tests.fixtures.frameworks import needed
from tests.wire.node import Node
from tests.wire.peers import EXPLICIT_LE, Scp, store_scp, until

needed("torch")
needed("monai")

pytestmark = pytest.mark.wire

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
REPORTS = ("1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.88.34")
CONTEXTS = [(uid, (EXPLICIT_LE,)) for uid in (SEG, *REPORTS)]
CLEAR = ("--contrast-to-noise", 25)
SMALLEST_MM = 40  # of those that the first engine learns from; the others have 14 and more
TRAINED = """schema = 1
task = "detect"
network = "unet"
width = 8
levels = 2
steps = 20
learning_rate = 0.01
seed = 3
[augmentation]
probability = 0.0
"""
SAME_LESION = 0.1


class Site(Node):
    """A node whose dicomnode.toml is the site's own: written once, then changed by commands and people."""

    def write_config(self) -> None:
        if not self.config.exists():
            super().write_config()

    def add_shadow(self, engine: Path) -> None:
        table = f'\n[[engine]]\nname = "{engine.name}"\nmode = "shadow"\npath = {json.dumps(str(engine))}\n'
        self.config.write_text(self.config.read_text() + table)


def dicomnode(*arguments: object, status: int = 0) -> dict[str, Any]:
    command = [sys.executable, "-m", "dicomnode", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# ── the reader ──


@dataclass(frozen=True)
class Reader:
    """Who looks at a study with our results, and sends back a segmentation of all lesions that are there."""

    archive: Scp

    def results(self, study_uid: str) -> list[Dataset]:
        sent = [dcmread(io.BytesIO(content), force=True) for content in self.archive.datasets.values()]
        return [one for one in sent if one.StudyInstanceUID == study_uid]

    def corrected(self, study: LabelledStudy, folder: Path) -> Path | None:
        """Write the correction; None where there is no lesion to draw."""
        lesions = [one for one in lesions_of(study) if not one.mask.is_empty]
        if not lesions:
            return None
        uid = study.study.study_instance_uid
        results = self.results(uid)
        found = self._found(study, results, folder)
        images = [dcmread(one.path, stop_before_pixels=True) for one in study.stacks[0].headers]
        made = build_segmentation(
            images, [drawn(one) for one in lesions], partial(derive_uid, b"reader", uid)
        )
        for segment, lesion in zip(made.SegmentSequence, lesions, strict=True):
            segment.SegmentAlgorithmType = "MANUAL"
            del segment.SegmentAlgorithmName
            same = [one for one in found if overlap(one.mask, lesion.mask) > SAME_LESION]
            if same:  # the tool kept whose outline was changed
                segment.TrackingUID, segment.TrackingID = same[0].tracking_uid, same[0].tracking_id
        made.ReferencedSeriesSequence.extend(named(one) for one in results)
        return saved(made, folder / "corrected.dcm")

    def _found(
        self, study: LabelledStudy, results: Iterable[Dataset], folder: Path
    ) -> Sequence[AnnotatedSegment]:
        ours = [one for one in results if one.SOPClassUID == SEG]
        if not ours:
            return ()
        images = folder / "seen"
        images.mkdir(parents=True)
        for n, header in enumerate(study.stacks[0].headers):
            (images / f"{n}.dcm").write_bytes(header.path.read_bytes())
        for one in ours:
            saved(one, images / "ours.dcm")
        [seen] = read_labelled([images]).studies
        return [segment for one in seen.annotations for segment in one.segments]


def lesions_of(study: LabelledStudy) -> list[AnnotatedSegment]:
    return [one for said in study.annotations for one in said.segments if one.type == LESION]


def drawn(lesion: AnnotatedSegment) -> TrueSegment:
    mask = lesion.mask.to_array()
    return TrueSegment(
        label=lesion.label, kind=FindingKind.LESION, type=LESION, mask=mask, colour_rgb=(9, 9, 9)
    )


def named(result: Dataset) -> Dataset:
    of = item(
        ReferencedSOPClassUID=result.SOPClassUID,
        ReferencedSOPInstanceUID=result.SOPInstanceUID,
    )
    return item(SeriesInstanceUID=result.SeriesInstanceUID, ReferencedInstanceSequence=[of])


def saved(one: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.save_as(path, enforce_file_format=True)
    return path


# ── the site ──


def push(node: Node, studies: Sequence[LabelledStudy]) -> None:
    """Send the images as one modality would, and wait for the results."""
    files = [header.path for study in studies for header in study.stacks[0].headers]
    assert not push_study(node.peer, "SCANNER", files).failed
    ended = node.wait_for_all([one.study.study_instance_uid for one in studies])
    assert {one.state for one in ended} == {StudyState.DONE}


def all_heard(node: Node, study_uids: Iterable[str]) -> bool:
    with node.journal() as journal:
        tasks = [[one for one in journal.tasks(uid) if one.kind is TaskKind.FEEDBACK] for uid in study_uids]
    return all(of_study and {one.state for one in of_study} == {TaskState.DONE} for of_study in tasks)


def kept_and_sent(node: Node, studies: Sequence[LabelledStudy]) -> tuple[Counter[str], set[str]]:
    """Lesions that each engine found, and the engines of which objects were made."""
    from dicomnode.store import load_findings

    found: Counter[str] = Counter()
    sent: set[str] = set()
    with node.journal() as journal:
        for study in studies:
            uid = study.study.study_instance_uid
            for one in journal.findings(uid):
                found[one.engine] += len(load_findings(one.path).segments)
            sent |= {one.engine for one in journal.objects(uid)}
    return found, sent


def verdicts(evaluation: Mapping[str, Any]) -> dict[str, str]:
    return {one["figure"]: one["verdict"] for one in evaluation["comparison"]["differences"]}


@pytest.mark.timeout(900)  # of a machine with much else to do; alone it takes less than three minutes
@pytest.mark.long  # quick: tests/unit/cli/test_train_feedback.py, test_engine_promote.py, test_feedback.py
def test_an_engine_that_misses_small_lesions_is_corrected_learns_and_is_replaced_by_a_better_one(
    tmp_path: Path,
) -> None:
    engines, recipe = tmp_path / "engines", tmp_path / "recipe.toml"
    recipe.write_text(TRAINED)
    train = (
        "train",
        "detect",
        "--structure",
        "lesion",
        "--recipe",
        recipe,
        "--threads",
        1,
        "--device",
        "cpu",
    )
    old, new = engines / "old", engines / "new"
    for name, seed, cases, more in (
        ("collected", 11, 24, ("--without-below", SMALLEST_MM)),
        ("site", 22, 28, ()),
        ("held", 32, 24, ()),
    ):
        out = tmp_path / name
        dicomnode("synth", "volumes", "--out", out, "--seed", seed, "--cases", cases, *CLEAR, *more)
    dicomnode(*train, "--data", tmp_path / "collected", "--out", old, "--epochs", 20)
    seen = read_labelled([tmp_path / "site"]).studies
    held = read_labelled([tmp_path / "held"]).studies
    sick = [one for one in held if any(not lesion.mask.is_empty for lesion in lesions_of(one))]

    with store_scp(contexts=CONTEXTS) as archive:
        node = Site(tmp_path / "node", [old], archive.peer)
        try:
            node.start()
            push(node, seen)
            reader = Reader(archive)
            written = {
                one.study.study_instance_uid: reader.corrected(one, tmp_path / "reader" / str(n))
                for n, one in enumerate(seen)
            }
            corrections = {uid: path for uid, path in written.items() if path is not None}
            assert not push_study(node.peer, "SCANNER", list(corrections.values())).failed
            until(lambda: all_heard(node, corrections), "the corrections are heard")

            config = ("--config", node.config)
            said = Counter(one["kind"] for one in dicomnode("feedback", "list", *config)["feedback"])
            assert said["missed"] > 5
            assert said["missed"] + said["changed"] + said["accepted"] == sum(
                not lesion.mask.is_empty for study in seen for lesion in lesions_of(study)
            )
            exported = dicomnode("feedback", "export", "--out", tmp_path / "labels", *config)
            assert len(exported["studies"]) == len(corrections)

            learned = (*train, "--data", tmp_path / "collected", "--from-feedback", *config, "--init", old)
            trained = dicomnode(*learned, "--out", new, "--epochs", 30)
            assert trained["feedback"] == {"studies": len(corrections), "left_out": []}

            judged = tmp_path / "judged"
            evaluate = ("evaluate", new, "--data", tmp_path / "held", "--compare", old, "--out", judged)
            differences = verdicts(dicomnode(*evaluate))
            assert differences["sensitivity"] == "better"
            assert "worse" not in differences.values()

            node.add_shadow(new)
            assert node.stop() == 0
            node.start()
            push(node, sick[:6])
            found, sent = kept_and_sent(node, sick[:6])
            assert found["new"] > found["old"]
            assert sent == {"old"}, "what runs in shadow is kept and not sent"
            trial = dicomnode("evaluate", "--site", "new", "--first", 100, *config)
            assert (trial["mode"], trial["states"]["analysed"], trial["answered_studies"]) == ("shadow", 6, 0)
            assert trial["findings_per_study"] == found["new"] / 6
            served = dicomnode("evaluate", "--site", "old", *config)
            assert served["states"]["analysed"] == len(seen) + 6
            assert served["answers"]["missed"] == said["missed"]

            promote = ("engine", "promote", "new", "--replace", "old", *config)
            dicomnode(*promote, status=EXIT_ENGINE)
            done = dicomnode(*promote, "--evaluation", judged / "evaluation.json", "--by", "A. Reader")
            assert done["modes"] == {"new": "live", "old": "shadow"}

            assert node.stop() == 0
            node.start()
            push(node, sick[6:8])
            assert kept_and_sent(node, sick[6:8])[1] == {"new"}
            assert node.stop() == 0
        finally:
            node.close()
