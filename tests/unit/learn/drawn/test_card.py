"""Cards: what people wrote stays, the command repeats the training, and nothing else is promised."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomnode.engine import shipped_engines_dir
from dicomnode.evaluate import Figure
from dicomnode.learn.drawn.card import Card, Made, cells, command_of, how_made, number, real_lines
from dicomnode.learn.drawn.engine import NOTES_FILE, lungs_of
from tests.fixtures.frameworks import needed

needed("torch")

from dicomnode.learn.planted.order import ASKED, Order  # noqa: E402

ORDER = Order(
    out=Path("somewhere/mine"),
    run=Path("mine.training"),
    title="Lungs & more",
    version="1.1.0",
    made_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    worlds=5,
    mine=False,
    backgrounds=Path("scans"),
    ignore=Path("known.csv"),
)
MADE = Made(
    task="lung-nodules",
    order=ORDER,
    asked=ASKED,
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
    assert command_of("lung-nodules", ORDER, ASKED) == (
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


def test_a_time_that_was_not_kept_is_not_invented() -> None:
    assert "its time was not kept" in how_made(replace(MADE, seconds=None), b"")[1]


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


def test_lungs_are_told_of_the_step_that_gives_them_whatever_gave_them_in_the_model() -> None:
    table = {
        "step": [{"algorithm": "lungs"}, {"algorithm": "lungs_checked"}],
        "output": [{"segment": "lung", "step": "lungs_checked"}, {"kind": "lesion", "step": "nodules"}],
    }
    assert lungs_of(table) == ({"algorithm": "lungs"}, [{"segment": "lung", "step": "lungs"}])
    assert lungs_of(table, "other")[1] == [{"segment": "lung", "step": "other"}]
