"""What follows from what, without any I/O."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from dicomnode.engine import EnginePackage, read_manifest
from dicomnode.faults import SLICE_GAP
from dicomnode.journal import NewTask, TaskKind, TaskRecord, TaskState
from dicomnode.serve.dispatch import decide
from dicomnode.serve.plan import analyse_tasks, deliver_task, mode_of, report_tasks, set_aside_notes
from dicomnode.settings import DestinationSettings, EngineSettings, Settings
from dicomnode.values import Refusal, SeriesFacts, SetAside
from tests.unit.engine.small_engine import MANIFEST
from tests.unit.journal.world import NOON

GAP = Refusal(code=SLICE_GAP.code, text="slices are missing")
SETTINGS = Settings(
    engine=(
        EngineSettings(name="live"),
        EngineSettings(name="shadow", mode="shadow"),
        EngineSettings(name="off", mode="off"),
    ),
    destination=tuple(
        DestinationSettings(name=name, ae_title="PACS", host="10.0.0.1") for name in ("east", "west")
    ),
)


def package(name: str) -> EnginePackage:
    text = MANIFEST.replace("SHA256", "0" * 64).replace('name = "small"', f'name = "{name}"', 1)
    manifest, _ = read_manifest(Path("engine.toml"), text.encode())
    assert manifest is not None
    return EnginePackage(manifest=manifest, folder=Path("/engines"), digest="0" * 64)


def stack(number: int = 0, *, modality: str = "CT", refusal: Refusal | None = None, thick: float = 2.0):
    facts = SeriesFacts(
        study_instance_uid="1.2",
        series_instance_uid="1.2.3",
        stack=number,
        tags={"Modality": modality},
        facts={"spacing_k_mm": thick, "covers": ("lung",), "instances": 100},
        refusal=refusal,
    )
    return SimpleNamespace(facts=facts)


def study(*stacks):
    series = SimpleNamespace(series_instance_uid="1.2.3", stacks=stacks)
    return SimpleNamespace(study_instance_uid="1.2", series=(series,))


def task(engine: str | None = "live", destination: str | None = None) -> TaskRecord:
    return TaskRecord(
        id=1,
        kind=TaskKind.ANALYSE,
        study_instance_uid="1.2",
        study_version=3,
        engine=engine,
        destination=destination,
        payload={},
        state=TaskState.RUNNING,
        attempt=1,
        fence=1,
        owner="w",
        priority=0,
        not_before=NOON,
        error_code=None,
        error_text=None,
        created_at=NOON,
    )


def test_each_engine_gets_the_stack_that_it_prefers_and_a_verdict_on_each():
    thick, thin = stack(0, thick=5.0), stack(1, thick=1.0)
    dispatch = decide(study(thick, thin), [package("one"), package("two")])
    assert [(c.package.manifest.name, c.stack) for c in dispatch.choices] == [("one", thin), ("two", thin)]
    assert [(v.engine, v.stack, v.chosen) for v in dispatch.verdicts] == [
        ("one", 0, False),
        ("one", 1, True),
        ("two", 0, False),
        ("two", 1, True),
    ]
    assert dispatch.dismissals == ()


def test_an_engine_that_wanted_only_what_is_no_volume_answers_why():
    torn = stack(refusal=GAP)
    dispatch = decide(study(torn), [package("one")])
    assert dispatch.choices == ()
    ((dismissed, refusal),) = [(d.stack, d.refusal) for d in dispatch.dismissals]
    assert (dismissed, refusal) == (torn, GAP)


def test_an_engine_that_has_a_volume_does_not_speak_of_the_others():
    dispatch = decide(study(stack(0, refusal=GAP), stack(1)), [package("one")])
    assert [choice.stack.facts.stack for choice in dispatch.choices] == [1]
    assert dispatch.dismissals == ()


def test_a_study_that_no_engine_wants_leads_to_nothing():
    dispatch = decide(study(stack(modality="MR"), stack(1, modality="MR", refusal=GAP)), [package("one")])
    assert (dispatch.choices, dispatch.dismissals) == ((), ())
    assert analyse_tasks(dispatch, "1.2", 1) == []
    assert len(dispatch.verdicts) == 2


def test_chosen_and_dismissed_stacks_are_analysed_by_the_same_way():
    parts = [
        decide(study(stack(4)), [package("one")]),
        decide(study(stack(5, refusal=GAP)), [package("two")]),
    ]
    made = [new for dispatch in parts for new in analyse_tasks(dispatch, "1.2", 3)]
    assert made == [
        NewTask(
            kind=TaskKind.ANALYSE,
            study_instance_uid="1.2",
            study_version=3,
            engine=engine,
            payload={"series_instance_uid": "1.2.3", "stack": number},
        )
        for engine, number in (("one", 4), ("two", 5))
    ]


@pytest.mark.parametrize(
    ("engine", "mode"), [("live", "live"), ("shadow", "shadow"), ("off", "off"), ("gone", "off")]
)
def test_only_a_live_engine_is_reported_and_to_every_destination(engine, mode):
    assert mode_of(SETTINGS, engine) == mode
    made = report_tasks(SETTINGS, task(engine))
    wanted = ["east", "west"] if mode == "live" else []
    assert [(new.kind, new.destination) for new in made] == [(TaskKind.REPORT, name) for name in wanted]
    assert all((new.engine, new.study_version) == (engine, 3) for new in made)


def test_a_task_without_an_engine_is_not_reported():
    assert report_tasks(SETTINGS, task(None)) == []


def test_a_delivery_goes_where_its_report_was_made_for():
    made = deliver_task(task("live", "west"))
    assert (made.kind, made.engine, made.destination, made.study_version) == (
        TaskKind.DELIVER,
        "live",
        "west",
        3,
    )


def test_what_was_set_aside_is_told_once_a_reason():
    items = [SetAside(sop_instance_uid=str(n), file=None, code="DN-3013", text="a localizer") for n in (1, 2)]
    items.append(SetAside(sop_instance_uid=None, file="x", code="DN-3001", text="x is no DICOM file"))
    notes = set_aside_notes(items)
    assert [(note.what, note.facts["instances"]) for note in notes] == [
        ("instances.set_aside", 2),
        ("instances.set_aside", 1),
    ]
    assert notes[0].text == "2 image(s) or object(s) set aside: a localizer (DN-3013)"
