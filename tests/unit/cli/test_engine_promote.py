"""`dicomnode engine promote`: what goes live, what does not, and what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dicomnode.cli import main
from dicomnode.engine import load_package
from dicomnode.faults import JOURNAL_FAILED, NodeError
from dicomnode.journal import Journal
from dicomnode.settings import load_settings
from tests.wire.plain_engines import mean_engine


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "dicomnode.toml"
    store = tmp_path / "store"
    store.mkdir()
    package, before = mean_engine(tmp_path / "mean"), mean_engine(tmp_path / "old")
    manifest = before / "engine.toml"
    manifest.write_text(manifest.read_text().replace('name = "mean"', 'name = "old"', 1))
    path.write_text(
        f"""schema = 1
[[sender]]
ae_title = "SCANNER"
[[destination]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
[store]
path = {json.dumps(str(store))}
[[engine]]
name = "old"   # what serves now
path = {json.dumps(str(before))}
mode = "live"
[[engine]]
name = "mean"
path = {json.dumps(str(package))}
mode = "shadow"   # on trial
"""
    )
    Journal.open(load_settings(path).journal_url).close()
    return path


@pytest.fixture
def run(capsys, config: Path):
    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["engine", "promote", *arguments, "--config", str(config)])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


@pytest.fixture
def evaluation(config: Path, tmp_path: Path):
    """Writes an evaluation.json of the package; gives its path."""
    package, before = load_package(tmp_path / "mean"), load_package(tmp_path / "old")

    def written(
        verdict: str | None = "better", *, left_out: int = 0, silent: str = "", **changes: Any
    ) -> str:
        low, high = {"better": (0.01, 0.1), "worse": (-0.1, -0.01)}.get(verdict or "", (-0.1, 0.1))
        difference = {"value": 0.05, "low": low, "high": high, "level": 0.95}
        of: dict[str, Any] = {"output": "nodule", "figure": "mean_dice", "label": None}
        of |= {"difference": difference, "higher_is_better": True, "left_out": left_out, "verdict": verdict}
        differences = [of]
        if silent:
            none = {"value": 0.0, "low": None, "high": None, "level": 0.95}
            differences.append({**of, "output": silent, "difference": none, "verdict": "nothing can be said"})
        other = {"name": "old", "version": "1.0.0", "digest": before.digest}
        document: dict[str, Any] = {
            "schema": 1,
            "engine": {"name": package.manifest.name, "version": "1.0.0", "digest": package.digest},
            "headline": [
                {
                    "task": "segment",
                    "output": "nodule",
                    "figure": {"name": "mean_dice", "label": None, "value": 0.8},
                }
            ],
            "runs": [{"state": "analysed"}],
            "warnings": ["Of 4 cases, these have no answer: 1 refused."],
            "data": {"studies": 4, "synthetic": 0},
            "comparison": None if verdict is None else {"other": other, "differences": differences},
        }
        path = tmp_path / "evaluation.json"
        path.write_text(json.dumps(document | changes))
        return str(path)

    return written


def modes(config: Path) -> dict[str, str]:
    return {one.name: one.mode for one in load_settings(config).engine}


def acts(config: Path) -> list[str]:
    with Journal.open(load_settings(config).journal_url) as journal:
        return [act.text for act in journal.acts()]


@pytest.mark.parametrize("verdict", ["better", "it may be chance"])
def test_an_engine_that_is_not_worse_goes_live_and_its_reasons_are_told_and_kept(
    run, config, evaluation, verdict
):
    status, out, _ = run("mean", "--evaluation", evaluation(verdict), "--by", "A. Smith")
    assert status == 0
    assert modes(config) == {"old": "live", "mean": "live"}
    assert "nodule: mean dice 0.800" in out
    assert "these have no answer: 1 refused" in out
    assert "against old: nodule, mean dice +0.050" in out
    (kept,) = acts(config)
    assert kept.startswith("mean goes live, by A. Smith: nodule: mean dice 0.800")
    assert "# on trial" in config.read_text()


@pytest.mark.parametrize(
    ("says", "interval", "status"),
    [
        ("it may be chance", (0.01, 0.1), 0),  # of a few patients who differ
        ("it may be chance", (-0.1, -0.01), 12),
        ("better", (-0.1, 0.1), 12),
    ],
)
def test_a_verdict_may_claim_less_than_its_interval_bears_and_never_more(
    run, config, evaluation, says, interval, status
):
    path = Path(evaluation(says))
    document = json.loads(path.read_text())
    (one,) = document["comparison"]["differences"]
    one["difference"] |= {"low": interval[0], "high": interval[1]}
    path.write_text(json.dumps(document))
    assert run("mean", "--evaluation", str(path))[0] == status


def test_it_may_take_the_place_of_another_which_goes_into_shadow(run, config, evaluation):
    status, out, _ = run("mean", "--evaluation", evaluation(), "--replace", "old", "--json")
    assert status == 0
    assert modes(config) == {"old": "shadow", "mean": "live"}
    document = json.loads(out)
    assert document["modes"] == {"mean": "live", "old": "shadow"}
    assert document["forced"] is False


REFUSED = {
    "it is worse": ({"verdict": "worse"}, "DN-7308"),
    "it leaves out cases that the other one answered": ({"left_out": 2}, "DN-7308"),
    "nothing can be said of another output": ({"silent": "lung"}, "DN-7307"),
    "nothing can be said": ({"verdict": "nothing can be said"}, "DN-7307"),
    "another package": ({"engine": {"name": "mean", "version": "2", "digest": "ff" * 32}}, "DN-7307"),
    "nothing was judged": ({"headline": []}, "DN-7307"),
    "no case was analysed": ({"runs": [{"state": "failed"}]}, "DN-7307"),
    "another schema": ({"schema": 2}, "DN-7309"),
    "a part is missing": ({"runs": None}, "DN-7309"),
}


@pytest.mark.parametrize(("changes", "code"), REFUSED.values(), ids=REFUSED)
def test_it_stays_in_shadow_where(run, config, evaluation, changes, code):
    status, _, told = run("mean", "--evaluation", evaluation(**changes))
    assert status == 12
    assert code in told
    assert modes(config)["mean"] == "shadow"
    assert acts(config) == []


def test_without_an_evaluation_it_stays_in_shadow(run, config, tmp_path):
    assert run("mean")[0] == 12
    assert run("mean", "--evaluation", str(tmp_path / "none.json"))[0] == 12
    (tmp_path / "none.json").write_text("[]")
    assert run("mean", "--evaluation", str(tmp_path / "none.json"))[0] == 12
    assert modes(config)["mean"] == "shadow"


def test_what_was_compared_with_nothing_goes_live_unless_its_own_evaluation_warns(run, config, evaluation):
    status, _, told = run("mean", "--evaluation", evaluation(None, warnings=["Only 1 patient: far off."]))
    assert (status, modes(config)["mean"]) == (12, "shadow")
    assert "compared with no other engine, and its evaluation warns: Only 1 patient: far off" in told
    status, out, _ = run("mean", "--evaluation", evaluation(None, warnings=[]))
    assert (status, modes(config)["mean"]) == (0, "live")
    assert "mean dice 0.800" in out


def test_an_engine_that_shall_be_replaced_must_be_that_of_the_comparison(run, config, evaluation):
    status, _, told = run("mean", "--evaluation", evaluation(None), "--replace", "old")
    assert (status, "does not compare it with old" in told) == (12, True)
    assert modes(config) == {"old": "live", "mean": "shadow"}


@pytest.mark.parametrize(
    ("verdict", "word"), [("worse", "worse than old"), (None, "no evaluation was named")]
)
def test_force_passes_over_it_and_that_is_kept(run, config, evaluation, verdict, word):
    given = ("--evaluation", evaluation(verdict)) if verdict else ()
    status, out, _ = run("mean", *given, "--force")
    assert status == 0
    assert "forced, although" in out
    assert modes(config)["mean"] == "live"
    (kept,) = acts(config)
    assert word in kept


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("old", "--force"), 12, "DN-7306"),
        (("none", "--force"), 12, "DN-7305"),
        (("mean", "--replace", "none"), 12, "DN-7305"),
        (("mean", "--replace", "mean"), 2, "DN-9004"),
        (("mean", "--by", " "), 2, "DN-9004"),
    ],
)
def test_what_is_not_there_or_not_in_shadow_is_not_promoted(run, config, arguments, status, code):
    found, _, told = run(*arguments)
    assert (found, code in told) == (status, True)
    assert modes(config) == {"old": "live", "mean": "shadow"}


def test_the_package_that_it_replaces_must_be_the_one_that_it_was_compared_with(
    run, config, evaluation, tmp_path
):
    path = evaluation()
    manifest = tmp_path / "old" / "engine.toml"
    manifest.write_text(manifest.read_text() + "\n# changed since\n")
    status, _, told = run("mean", "--evaluation", path, "--replace", "old")
    assert (status, "DN-7307" in told) == (12, True)
    assert modes(config) == {"old": "live", "mean": "shadow"}


def edited(path: str, **changes: Any) -> str:
    """The same evaluation with other values of its one difference."""
    document = json.loads(Path(path).read_text())
    document["comparison"]["differences"][0] |= changes
    Path(path).write_text(json.dumps(document))
    return path


FORGED = {
    "a verdict that its interval does not bear": {"verdict": "better"},
    "one that is worse by a figure of which less is better": {
        "higher_is_better": False,
        "difference": {"value": 0.05, "low": 0.01, "high": 0.1, "level": 0.95},
        "verdict": "better",
    },
    "a verdict without an interval": {
        "difference": {"value": 0.05, "low": None, "high": None, "level": 0.95},
        "verdict": "better",
    },
    "a figure that is no number": {
        "difference": {"value": float("nan"), "low": float("nan"), "high": 1.0, "level": 0.95},
        "verdict": "it may be chance",
    },
    "a verdict that is no word of ours": {"verdict": "splendid"},
}


@pytest.mark.parametrize("changes", FORGED.values(), ids=FORGED)
def test_an_evaluation_that_contradicts_itself_promotes_nothing(run, config, evaluation, changes):
    status, _, told = run("mean", "--evaluation", edited(evaluation("worse"), **changes))
    assert (status, "DN-7309" in told) == (12, True)
    assert modes(config)["mean"] == "shadow"


def test_that_studies_are_synthetic_is_told_and_kept(run, config, evaluation):
    status, out, _ = run("mean", "--evaluation", evaluation(data={"studies": 4, "synthetic": 4}))
    assert status == 0
    assert "4 of 4 studies are synthetic" in out
    assert "4 of 4 studies are synthetic" in acts(config)[0]


def test_an_act_that_cannot_be_kept_promotes_nothing(run, config, evaluation, monkeypatch):
    def full(*_: object) -> None:
        raise NodeError(JOURNAL_FAILED, error="disk I/O error")

    before = config.read_bytes()
    path = evaluation()
    monkeypatch.setattr(Journal, "add_act", full)
    status, _, told = run("mean", "--evaluation", path)
    assert (status, JOURNAL_FAILED.code in told) == (JOURNAL_FAILED.exit_code, True)
    assert config.read_bytes() == before
