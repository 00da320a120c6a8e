"""What the bench of patterns prints: figures, and each answer with what is wrong of it."""

from __future__ import annotations

from dicomnode.learn.patterns.drawn import PATTERNS
from tests.bench.lung_patterns import Told, figures_of, page
from tests.fixtures.frameworks import needed

needed("sklearn")


def told(name: str, has: bool | None, said: float, laa: float = 1.0, refused: str = "") -> Told:
    return Told(
        name=name,
        has=None if has is None else dict.fromkeys(PATTERNS, has),
        probabilities={} if refused else dict.fromkeys(PATTERNS, said),
        present={} if refused else dict.fromkeys(PATTERNS, said >= 0.5),
        laa950=laa,
        refused=refused,
    )


def test_figures_are_of_those_that_were_answered_and_laa_stands_beside_emphysema(monkeypatch) -> None:
    monkeypatch.setattr("dicomnode.learn.patterns.judging.RESAMPLES", 100)
    cases = [
        told("a", True, 0.9, 8.0),
        told("b", True, 0.3, 2.0),
        told("c", False, 0.1),
        told("d", True, 0.0, refused="no lungs"),
    ]
    figures = figures_of(cases, dict.fromkeys(PATTERNS, 0.5))
    assert [(by, one.name) for by, one in figures][:2] == [
        ("forest", "emphysema"),
        ("LAA-950 from 5 %", "emphysema"),
    ]
    assert len(figures) == len(PATTERNS) + 1
    for _, one in figures:
        assert (one.sensitivity.figure.part, one.sensitivity.figure.whole) == (1, 2)
        assert (one.specificity.figure.part, one.specificity.figure.whole) == (1, 1)


def test_the_page_marks_what_was_missed_and_what_is_wrong_and_says_who_was_not_asked() -> None:
    lines = page([told("a", True, 0.3), told("b", False, 0.7), told("c", None, 0.7, refused="too short")], [])
    assert "| a | **0.30: missed** |" in lines[2]
    assert "| b | **0.70 present: wrong** |" in lines[3]
    assert "too short" in lines[4]
    unknown = page([told("d", None, 0.7)], [])
    assert "| d | 0.70 present |" in unknown[2]
