"""What follows from what, without any I/O."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from dicomnode.engine import EnginePackage, read_manifest
from dicomnode.faults import SERIES_TIED, SLICE_GAP
from dicomnode.journal import NewTask, TaskKind, TaskRecord, TaskState
from dicomnode.serve.deciding.dispatch import barred, decide
from dicomnode.serve.deciding.plan import (
    analyse_tasks,
    deliver_task,
    mode_of,
    refusal_of,
    report_tasks,
    set_aside_notes,
)
from dicomnode.serve.deciding.site_rules import PRIORITIES, ROUTINE, SiteWish
from dicomnode.serve.naming import engine_of
from dicomnode.settings import DestinationSettings, EngineSettings, RuleSettings, Settings
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


def package(name: str, old: str = "", new: str = "") -> EnginePackage:
    text = MANIFEST.replace("SHA256", "0" * 64).replace('name = "small"', f'name = "{name}"', 1)
    assert old in text
    text = text.replace(old, new, 1)
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
            payload={"series_instance_uid": "1.2.3", "stack": number, **because},
        )
        for engine, number, because in (
            ("one", 4, {}),
            ("two", 5, {"refusal_code": GAP.code, "refusal_text": GAP.text}),
        )
    ]


def test_why_an_engine_cannot_have_its_stack_goes_with_the_task():
    dispatch = decide(study(stack(5, refusal=GAP), stack(6, modality="MR")), [package("one")])
    (made,) = analyse_tasks(dispatch, "1.2", 3)
    assert refusal_of(replace(task(), payload=made.payload)) == GAP
    assert refusal_of(task()) is None


def test_an_engine_that_takes_all_series_gets_a_task_for_each_under_a_name_of_its_own():
    all_series = package("one", '[[input]]\nname = "ct"', '[[input]]\nseries = "all"\nname = "ct"')
    dispatch = decide(study(stack(0), stack(1, modality="MR"), stack(2), stack(3)), [all_series])
    made = analyse_tasks(dispatch, "1.2", 3)
    assert [(new.engine, new.payload["stack"]) for new in made] == [("one", 0), ("one:2", 2), ("one:3", 3)]
    assert {engine_of(new.engine) for new in made} == {"one"}


def test_between_two_equal_series_an_engine_may_refuse_to_choose():
    picky = package("one", '[[input]]\nname = "ct"', '[[input]]\nties = "none"\nname = "ct"')
    dispatch = decide(study(stack(0), stack(1)), [picky])
    assert dispatch.choices == ()
    (dismissal,) = dispatch.dismissals
    assert dismissal.refusal.code == SERIES_TIED.code
    assert dismissal.refusal.text == "2 series fit engine one equally well, and it takes one only."


STAT = RuleSettings(name="er", priority="stat", destinations=("west",), mode="shadow")


def test_what_the_site_wishes_goes_with_every_task_of_a_study():
    wish = SiteWish(rule=STAT)
    (made,) = analyse_tasks(decide(study(stack()), [package("live")]), "1.2", 3, wish)
    assert made.priority == PRIORITIES["stat"] > ROUTINE
    assert (made.payload["mode"], made.payload["destinations"]) == ("shadow", "west")


@pytest.mark.parametrize(
    ("engine", "wished", "destinations"),
    [
        ("live", {}, ["east", "west"]),
        ("live", {"destinations": "west"}, ["west"]),
        ("live", {"destinations": "gone,west"}, ["gone", "west"]),
        ("live", {"mode": "shadow"}, []),
        ("shadow", {"mode": "live"}, ["east", "west"]),
        ("off", {"mode": "live"}, []),
        ("live:2", {}, ["east", "west"]),
    ],
    ids=[
        "no wish",
        "one destination",
        "one that is gone",
        "shadow",
        "live",
        "an engine that is off",
        "second",
    ],
)
def test_a_report_goes_where_the_rule_of_the_site_says(engine, wished, destinations):
    of = replace(task(engine), payload=wished, priority=10)
    made = report_tasks(SETTINGS, of)
    assert [new.destination for new in made] == destinations
    assert {new.priority for new in made} <= {10}
    assert deliver_task(of).priority == 10


def test_an_engine_that_the_site_bars_says_so_of_every_stack():
    verdicts = barred(study(stack(1), stack(0)), package("one"), "er")
    assert [(v.stack, v.chosen, v.rule, v.found) for v in verdicts] == [
        (n, False, "rule er of this site lets the engine run", "it does not") for n in (0, 1)
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
