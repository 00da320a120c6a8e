"""Cards: what people wrote stays, the command repeats the training, and nothing else is promised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dicomnode.engine import shipped_engines_dir
from dicomnode.evaluate import Figure
from dicomnode.learn.drawn.card import Card, Made, cells, command_of, how_made, number, real_lines, with_ends
from dicomnode.learn.drawn.engine import NOTES_FILE, lungs_of
from tests.fixtures.frameworks import needed

needed("torch")

from dicomnode.learn.planted.order import Order  # noqa: E402
from tests.unit.learn.drawn.trainings import asked  # noqa: E402

ORDER = asked(
    Order,
    Path("somewhere"),
    title="Lungs & more",
    version="1.1.0",
    worlds=5,
    mine=False,
    backgrounds=Path("scans"),
    ignore=Path("known.csv"),
    workers=1,
)
MADE = Made(
    order=ORDER,
    seconds=5400.0,
    places=["a machine, cpu, 1 thread(s)"],
    versions={"torch": "2"},
)


def test_notes_stand_before_the_limits_as_they_were_written() -> None:
    card = Card(title="Mine", lead="Lead.", sections=[("One", ["- a"])], limits=["b"], made=["c"])
    assert card.text("\n## Seen\n\nNothing.\n") == (
        "# Mine\n\nLead. Research and engineering. Not for clinical use.\n\n## One\n\n- a\n\n"
        "## Seen\n\nNothing.\n\n## Limits\n\n- b\n\n## How it was made\n\n- c\n"
    )
    assert "Seen" not in card.text()


def test_cards_of_engines_that_ship_have_the_notes_that_lie_beside_them() -> None:
    with_notes = [one for one in shipped_engines_dir().iterdir() if (one / NOTES_FILE).is_file()]
    assert {"lung-ct-forest", "view-check"} <= {one.name for one in with_notes}
    for folder in with_notes:
        notes, card = ((folder / name).read_text(encoding="utf-8") for name in (NOTES_FILE, "card.md"))
        assert f"\n\n{notes.strip()}\n\n## Limits\n" in card


def test_the_command_says_all_that_was_asked_and_no_place_of_a_machine() -> None:
    assert command_of(ORDER) == (
        "dicomnode train lung-nodules --out mine --title 'Lungs & more' --version 1.1.0 --worlds 5 "
        "--judged 12 --steps 20000 --batch 6 --no-mine --backgrounds DIR --ignore FILE --device cpu --seed 0"
    )


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (["m, cpu, 1 thread(s)"], "gives the same network"),
        (["m, cpu, 2 thread(s)"], "nearly the same"),
        (["m, cpu, 1 thread(s)", "n, cuda, 1 thread(s)"], "nearly the same"),
    ],
)
def test_only_what_repeats_is_said_to_repeat(places: list[str], said: str) -> None:
    made = how_made(replace(MADE, places=places), b"", "network")
    assert said in made[-1]
    assert f"on {', then '.join(places)}: 90 minutes of a processor" in made[1]
    assert "1 process(es)" in made[1]


@pytest.mark.parametrize("wanting", [{"seconds": None}, {"places": []}, {"seconds": None, "places": []}])
def test_what_was_not_kept_is_not_invented_and_nothing_is_promised_of_it(wanting: dict) -> None:
    made = how_made(replace(MADE, **wanting), b"")
    assert ("its time was not kept" in made[1]) == ("seconds" in wanting)
    assert ("on a machine that was not kept" in made[1]) == ("places" in wanting)
    assert made[-1].endswith("is open")


def test_real_scans_are_named_with_those_that_were_refused() -> None:
    assert real_lines(MADE, "as texture") == ["No real scan."]
    lines = real_lines(replace(MADE, real=[("1.2", "ab")], left_out=2), "as texture")
    assert lines[0].startswith("1 real scan(s) as texture. Never judge it on these")
    assert "series 1.2, digest ab" in lines
    assert lines[-1].startswith("2 further")


def test_a_figure_that_is_not_defined_is_a_dash() -> None:
    from types import SimpleNamespace

    interval = SimpleNamespace(figure=Figure(name="a", value=0.5), low=None, high=1.0)
    assert cells(interval) == "0.500 | – | 1.000"
    assert number(None) == "–"


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (0.5, 0.25, 0.75, "0.50 (0.25–0.75)"),
        (1.0, 1.0, 1.0, "1.00"),
        (0.5, None, None, "0.50"),
        (None, None, None, "–"),
    ],
)
def test_an_interval_in_which_no_resample_differs_is_not_told(value, low, high, said: str) -> None:
    from types import SimpleNamespace

    figure = Figure(name="a", value=value, reason="" if value is not None else "there is none")
    assert with_ends(SimpleNamespace(figure=figure, low=low, high=high), 2) == said


def test_lungs_are_told_of_the_step_that_gives_them_whatever_gave_them_in_the_model() -> None:
    table = {
        "step": [{"algorithm": "lungs"}, {"algorithm": "lungs_checked"}],
        "output": [{"segment": "lung", "step": "lungs_checked"}, {"kind": "lesion", "step": "nodules"}],
    }
    assert lungs_of(table) == ({"algorithm": "lungs"}, [{"segment": "lung", "step": "lungs"}])
    assert lungs_of(table, "other")[1] == [{"segment": "lung", "step": "other"}]
