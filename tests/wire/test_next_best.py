"""What an archive refuses is replaced by the next best, and no report names what the archive has not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicomnode.deliver import push_study
from dicomnode.faults import NO_PRESENTATION_CONTEXT, NOTHING_TAKEN
from dicomnode.journal import StudyState, TaskKind, TaskState
from dicomnode.report.choice import SOP_CLASSES
from tests.wire.archives import Archive, running_archive
from tests.wire.node import Node, running_node
from tests.wire.peers import until
from tests.wire.plain_engines import block_series, bright_engine
from tests.wire.test_destinations import at, destination, tasks

pytestmark = pytest.mark.wire

# What each archive takes, and what it has in the end
TAKES: dict[str, tuple[str, str]] = {
    "all": ("SEG SR GSPS PDF SC", "SEG SR"),
    "no-seg": ("SR GSPS PDF SC", "GSPS SR"),
    "no-seg-gsps": ("SR PDF SC", "SC SR"),
    "no-sr": ("SEG GSPS PDF SC", "PDF SEG"),
    "pictures": ("SC", "SC"),
    "report-only": ("SR", "SR"),
}


def classes(kinds: str) -> list[str]:
    return [SOP_CLASSES[kind] for kind in kinds.split()]  # type: ignore[index]


def kinds_of(objects: Collection[Dataset]) -> set[str]:
    names = {uid: kind for kind, uid in SOP_CLASSES.items()}
    return {names[str(one.SOPClassUID)] for one in objects}


def referenced(found: Dataset) -> set[str]:
    """SOP Instance UIDs that a data set refers to, anywhere."""
    return {
        str(element.value) for element in found.iterall() if element.keyword == "ReferencedSOPInstanceUID"
    }


@pytest.mark.long
def test_each_archive_gets_the_best_that_it_takes_and_no_report_names_what_it_has_not(tmp_path: Path) -> None:
    engine = bright_engine(tmp_path / "engine" / "bright")
    with ExitStack() as stack:
        archives = {
            name: stack.enter_context(running_archive(classes(takes))) for name, (takes, _) in TAKES.items()
        }
        strict = stack.enter_context(running_archive(classes("SEG GSPS PDF SC")))
        nothing = stack.enter_context(running_archive(["1.2.840.10008.5.1.4.1.1.2"]))
        more = [line for name, one in archives.items() for line in destination(name, **at(one))]
        more += destination("strict", **at(strict), fallback=False)
        more += destination("nothing", **at(nothing))
        first = archives["all"]
        node = stack.enter_context(running_node(tmp_path / "node", [engine], first.peer, more=more))
        files = block_series(tmp_path / "ct", 1)
        assert not push_study(node.peer, "SCANNER", files).failed
        uid = str(dcmread(files[0]).StudyInstanceUID)
        node.wait_for(uid, states={StudyState.FAILED})  # two of them need a person; the others go on
        until(lambda: ended(node, uid), "all that can be delivered is")

        for name, archive in archives.items():
            found = list(archive.objects.values())
            assert kinds_of(found) == set(TAKES[name][1].split()), name
            sources = {str(dcmread(file).SOPInstanceUID) for file in files}
            for one in found:
                assert referenced(one) <= set(archive.objects) | sources, f"{name}: {one.SOPClassUID}"
        tries = tasks(node, uid)["archive"].attempt + tasks(node, uid)["all"].attempt
        arrived = Counter(first.taken)
        assert min(arrived.values()) >= 2, "two destinations, the same objects"
        assert tries > 2 or max(arrived.values()) == 2, "none is sent again that was answered"

        check_strict(node, uid, strict)
        check_nothing(node, uid, nothing)


def ended(node: Node, uid: str) -> bool:
    with node.journal() as journal:
        still_open = {TaskState.READY, TaskState.RUNNING, TaskState.RETRY, TaskState.WAITING}
        return not any(task.state in still_open for task in journal.tasks(uid))


def check_strict(node: Node, uid: str, archive: Archive) -> None:
    """Without fallback the rest is sent, and what is refused waits for a person; its refusal is known."""
    assert kinds_of(archive.objects.values()) == {"SEG"}
    task = tasks(node, uid)["strict"]
    assert (task.state, task.error_code) == (TaskState.PARKED, NO_PRESENTATION_CONTEXT.code)
    assert task.attempt == 1, "it is known at once, and not tried again"
    with node.journal() as journal:
        day = datetime.fromtimestamp(0, UTC)
        assert journal.refused_classes("strict", day) == {SOP_CLASSES["SR"]}
        assert journal.refused_classes("all", day) == set()


def check_nothing(node: Node, uid: str, archive: Archive) -> None:
    """What is taken nowhere waits for a person; when the classes are allowed there, a retry delivers all."""
    assert archive.taken == []
    task = tasks(node, uid, TaskKind.REPORT)["nothing"]
    assert (task.state, task.error_code) == (TaskState.PARKED, NOTHING_TAKEN.code)
    archive.allow(classes("SEG SR"))
    with node.journal() as journal:
        assert journal.retry(uid, "nothing", datetime.now(UTC)) == 1
    until(lambda: len(archive.objects) == 2, "what is allowed now is delivered")
    assert kinds_of(archive.objects.values()) == {"SEG", "SR"}
    until(lambda: outcomes_of(node, uid, "nothing") == {"stored"}, "the journal knows it")


def outcomes_of(node: Node, uid: str, name: str) -> set[str]:
    with node.journal() as journal:
        found = [one for one in journal.deliveries(uid) if one.destination == name]
    return {one.outcome for one in found if one.outcome != "replaced"}
