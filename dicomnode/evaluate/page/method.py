"""What happened to every case, and how the figures were made: all that is needed to make them again."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from dicomnode.evaluate.evaluation import CaseRun, Evaluation, RunState
from dicomnode.evaluate.outcomes import ClassificationResult, DetectionResult
from dicomnode.evaluate.page.frames import MOST_ROWS, section, table
from dicomnode.evaluate.page.markup import Markup, element, joined
from dicomnode.evaluate.page.words import case_text, percent


def runs_section(evaluation: Evaluation) -> Markup:
    """How many cases were analysed, refused, not wanted, failed; each of those without an answer by name."""
    if not evaluation.runs:
        return section("runs", "Refusals and failures", element("p", "No engine was run for this page."))
    rows = [(str(state).replace("-", " "), str(evaluation.count(state))) for state in RunState]
    counts = table(("What came of it", "Cases"), rows, told="Every case, none left out")
    without = [run for run in evaluation.runs if run.state is not RunState.ANALYSED]
    return section("runs", "Refusals and failures", counts, _without(without), _times(evaluation.runs))


def method_section(evaluation: Evaluation) -> Markup:
    """Engine, data, resampling, in words that a methods section of a paper could take."""
    items: list[Markup] = []
    for name, value in [*_engine(evaluation), *_data(evaluation), *_figures(evaluation)]:
        if value:
            items += [element("dt", name), element("dd", value)]
    pooled = (
        "Outputs and sets of studies are never pooled: each output has figures of its own, of this set alone."
    )
    return section("method", "How it was done", element("p", pooled), element("dl", *items))


def _without(runs: Sequence[CaseRun]) -> Markup:
    if not runs:
        return element("p", "Every case was analysed.")
    rows = [(case_text(run.case), str(run.state).replace("-", " "), run.code, run.reason) for run in runs]
    head = ("Case", "State", "Code", "Reason")
    told = f"Cases without an answer: {len(rows)}"
    if len(rows) > MOST_ROWS:
        told += f", the first {MOST_ROWS} of them; evaluation.json has them all"
    # Not folded: a page on paper shows nothing that is
    return table(head, rows[:MOST_ROWS], told=told, numbers_from=len(head))


def _times(runs: Sequence[CaseRun]) -> Markup:
    seconds = [run.seconds for run in runs if run.seconds is not None]
    if not seconds:
        return joined()
    return element("p", f"Time of a case: median {median(seconds):.1f} s, {max(seconds):.1f} s at most.")


def _engine(evaluation: Evaluation) -> list[tuple[str, str]]:
    engine = evaluation.engine
    return [
        ("Engine", f"{engine.name} {engine.version}"),
        ("SHA-256 of its package", engine.digest),
        ("Runtime", ", ".join(one for one in (engine.runtime, engine.precision, engine.device) if one)),
        ("dicomnode", evaluation.node_version),
        ("Made", "" if evaluation.made_at is None else evaluation.made_at.isoformat(timespec="seconds")),
    ]


def _data(evaluation: Evaluation) -> list[tuple[str, str]]:
    data = evaluation.data
    parts = ", ".join(f"{name} {count}" for name, count in data.parts)
    aside = ", ".join(f"{code}: {count}" for code, count in sorted(data.set_aside.items()))
    return [
        ("Data", f"{data.studies} studies of {data.patients} patients, {data.annotations} annotations"),
        ("Synthetic studies", str(data.synthetic) if data.synthetic else ""),
        ("Part of the split", data.part),
        ("Studies of each part", parts),
        ("Labels", data.labels),
        ("Files set aside", aside),
        ("SHA-256 of studies and labels", data.digest),
    ]


def _figures(evaluation: Evaluation) -> list[tuple[str, str]]:
    how = evaluation.resampling
    drawn = (
        f"bootstrap of whole patients, {how.resamples} resamples, seed {how.seed}, "
        f"{percent(how.level)} by {'BCa' if how.method == 'bca' else 'percentiles'}"
    )
    return [("Intervals", drawn), ("Thresholds", "; ".join(_thresholds(evaluation)))]


def _thresholds(evaluation: Evaluation) -> list[str]:
    told = []
    for result in evaluation.results:
        if isinstance(result, ClassificationResult):
            at = "the highest score decides" if result.threshold is None else f"{result.threshold:g}"
            told.append(f"{result.output.label}: {at}")
        elif isinstance(result, DetectionResult):
            told.append(f"{result.output.label}: {result.threshold:g}")
    return told
