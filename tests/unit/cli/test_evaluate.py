"""`dicomnode evaluate`: a report on labelled studies, and what it refuses."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread
from scipy.stats import beta

from dicomnode.evaluate.data import draw_split, read_labelled, save_split, strata_of
from dicomnode.learn.generate import SynthPlan, synth_cases
from dicomnode.store import write_whole
from tests.unit.cli.test_commands import run  # noqa: F401  fixtures
from tests.unit.evaluate.page.reading import balance, rows, section, shown
from tests.unit.evaluate.running.engines import liver_engine

ARTICLE = {
    "labels": ["healthy", "sick"],
    "counts": [[3935, 675], [410, 25]],
    "positive": "sick",
    "printed": [
        {"name": "accuracy", "text": "0.9802"},
        {"name": "support", "label": "healthy", "text": "4600"},
    ],
}


@pytest.fixture(scope="module")
def volumes(tmp_path_factory) -> Path:
    """Four studies of a few patients."""
    folder = tmp_path_factory.mktemp("evaluate") / "data"
    synth_cases(SynthPlan(kind="volumes", cases=4, seed=5), folder)
    return folder


@pytest.fixture(scope="module")
def engines(tmp_path_factory) -> tuple[Path, Path]:
    """An engine, and one with other thresholds."""
    folder = tmp_path_factory.mktemp("engines")
    return (
        liver_engine(folder / "first").folder,
        liver_engine(folder / "second", liver_hu=(70.0, 200.0)).folder,
    )


QUICK = ("--resamples", "100")


def test_a_report_is_written_printed_and_the_same_in_json(run, volumes, engines, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    status, printed, _ = run(
        *("evaluate", engines[0], "--data", volumes, "--labels", volumes / "labels.csv", *QUICK),
        *("--match", "any-lesion=lesion", "--compare", engines[1], "--out", out),
    )
    assert status == 0
    document = json.loads((out / "evaluation.json").read_text())
    assert {one["output"]["label"] for one in document["results"]} == {
        "liver",
        "lesion",
        "any-lesion",
        "liver_volume_ml",
    }
    assert document["comparison"]["other"]["name"] == "second"
    assert document["data"]["studies"] == 4
    page = (out / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("data:image/png") > 2
    assert f"Only {document['data']['patients']} patient" in printed.replace("\n", " ")
    (dice,) = [
        one
        for result in document["results"]
        if result["task"] == "segmentation" and result["output"]["label"] == "liver"
        for one in result["figures"]
        if one["name"] == "mean_dice"
    ]
    assert f"{dice['value']:.3f}" in printed
    assert "mean Dice" in printed  # the words of the page
    assert "mean dice" not in printed
    assert "PHANTOM" not in json.dumps(document)  # of the patients' names and IDs
    status, again, _ = run("evaluate", engines[0], "--data", volumes, *QUICK, "--json")
    assert status == 0
    assert json.loads(again)["data"]["labels"] is None


def test_a_part_of_the_kept_split_is_judged_alone(run, volumes, engines):  # noqa: F811
    studies = read_labelled([volumes]).studies
    split = draw_split(strata_of(studies))
    save_split(volumes / "split.json", split)
    arguments = ("evaluate", engines[0], "--data", volumes, *QUICK, "--json", "--part")
    status, out, _ = run(*arguments, "train")
    document = json.loads(out)
    assert status == 0
    assert document["data"]["part"] == "train"
    assert sum(document["data"]["parts"].values()) == 4
    wanted = {one.study.study_instance_uid for one in studies if split.parts[one.patient] == "train"}
    assert {run["study_instance_uid"] for run in document["runs"]} == wanted
    assert not {one.patient for one in studies} & {run["patient"] for run in document["runs"]}
    empty = [part for part, count in document["data"]["parts"].items() if not count]
    for part in empty:
        status, out, _ = run(*arguments, part)
        assert (status, json.loads(out)["error"]["code"]) == (3, "DN-7026")


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        (("--part", "exam"), 2, "DN-9004"),
        (("--part", "test", "--split", "none.json"), 1, "DN-7024"),
        (("--match", "spine=Spine"), 2, "DN-7028"),
        (("--labels", "wrong.csv"), 1, "DN-7020"),
        (("--labels", "others.csv"), 3, "DN-7021"),
        (("--compare", "no-such-engine"), 12, "DN-4001"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_runs(
    run,  # noqa: F811
    volumes,
    engines,
    tmp_path,
    monkeypatch,
    more,
    status,
    code,
):
    monkeypatch.chdir(tmp_path)
    Path("wrong.csv").write_text("name,sick\nx,1\n")
    Path("others.csv").write_text("StudyInstanceUID,sick\n1.2.3,1\n")
    done, out, _ = run("evaluate", engines[0], "--data", volumes, *QUICK, "--json", *more)
    assert (done, json.loads(out)["error"]["code"]) == (status, code)


def test_studies_without_an_answer_are_told_and_end_in_4(run, volumes, engines, tmp_path):  # noqa: F811
    for name in ("case-0001", "case-0002"):
        shutil.copytree(volumes / name, tmp_path / "data" / name)
    for path in (tmp_path / "data" / "case-0002" / "images").iterdir():
        dataset = dcmread(path)
        dataset.Modality = "MR"  # which the engine does not take
        dataset.save_as(path)
    arguments = ("--data", tmp_path / "data", *QUICK)
    status, out, _ = run("evaluate", engines[0], *arguments, "--json")
    document = json.loads(out)
    assert status == 4
    assert [run["state"] for run in document["runs"]].count("not-wanted") == 1
    (reason,) = [run["reason"] for run in document["runs"] if run["reason"]]
    assert reason == "it wants Modality is CT, found MR"
    assert "Of 2 cases, these have no answer: 1 not wanted." in document["warnings"]
    status, printed, _ = run("evaluate", engines[0], *arguments)
    assert status == 4
    assert "Without an answer" in printed
    shutil.rmtree(tmp_path / "data" / "case-0001")
    status, out, _ = run("evaluate", engines[0], *arguments, "--json")
    assert (status, json.loads(out)["error"]["code"]) == (3, "DN-7027")
    assert "1 case with a truth without an answer" in json.loads(out)["error"]["text"]


def test_without_an_engine_or_data_it_says_what_is_needed(run, engines):  # noqa: F811
    assert run("evaluate")[0] == 2
    assert run("evaluate", engines[0])[0] == 2


def test_the_matrix_of_others_is_judged_and_contradicted(run, tmp_path):  # noqa: F811
    path = tmp_path / "matrix.json"
    path.write_text(json.dumps(ARTICLE))
    status, printed, _ = run("evaluate", "--matrix", path)
    lines = printed.splitlines()
    assert status == 0
    assert lines[0] == "recall of sick: 0.057 (25 of 435) [0.038 to 0.084]"
    assert lines[1] == "! Of 435 cases that are sick, 25 were found, 410 were missed."
    assert "! The printed accuracy, 0.9802, contradicts the matrix: 0.785 (3960 of 5045)." in lines
    assert "! The printed support of healthy, 4600, contradicts the matrix: 4610." in lines
    status, out, _ = run("evaluate", "--matrix", path, "--json")
    assert json.loads(out)["lead"]["part"] == 25
    assert len(json.loads(out)["contradictions"]) == 2
    (recall,) = [
        one for one in json.loads(out)["figures"] if (one["name"], one["label"]) == ("recall", "sick")
    ]
    # Clopper and Pearson: quantiles of the beta distribution
    assert recall["low"] == pytest.approx(beta.ppf(0.025, 25, 411))
    assert recall["high"] == pytest.approx(beta.ppf(0.975, 26, 410))


def test_the_matrix_of_others_has_a_page_that_says_what_is_missed_first(run, tmp_path):  # noqa: F811
    path = tmp_path / "matrix.json"
    path.write_text(json.dumps(ARTICLE))
    status, _, said = run("evaluate", "--matrix", path, "--out", tmp_path / "out")
    page = (tmp_path / "out" / "matrix.html").read_text()
    assert status == 0
    assert "matrix.html" in said
    first = shown(section(page, "first"))
    assert first.index("0.057") < first.index("410 were missed")
    assert "95 % interval 0.038 to 0.084" in first
    assert "The printed accuracy, 0.9802, contradicts the matrix: 0.785" in first
    assert "The printed support of healthy, 4600, contradicts the matrix: 4610." in first
    figures = rows(section(page, "figures"))
    assert [row[0] for row in figures][-2:] == ["accuracy", "accuracy without looking"]
    assert all("to" in row[3] for row in figures[1:-1])
    assert ["support of healthy", "4600", "4610", "✗ no"] in rows(section(page, "printed"))
    assert not balance(page).wrong
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert json.loads((tmp_path / "out" / "matrix.json").read_text())["schema"] == 1


@pytest.mark.parametrize(
    "more",
    [
        ("--matrix", "matrix.json", "ENGINE"),
        ("--matrix", "matrix.json", "--data", "."),
        ("--matrix", "matrix.json", "--site", "lung-ct"),
        ("--site", "lung-ct", "--look", "--out", "out"),
        ("--readers", "--data", ".", "ENGINE"),
        ("--first", "20", "--data", ".", "ENGINE"),
        ("ENGINE", "--data", ".", "--compare", "ENGINE"),
    ],
)
def test_of_two_things_at_once_none_is_passed_over(run, engines, tmp_path, monkeypatch, more):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    Path("matrix.json").write_text(json.dumps(ARTICLE))
    asked = [str(engines[0]) if one == "ENGINE" else one for one in more]
    status, out, _ = run("evaluate", *asked, *QUICK, "--json")
    assert (status, json.loads(out)["error"]["code"]) == (2, "DN-9004")
    assert not Path("out").exists()


def test_labels_that_look_like_markup_or_html_stay_what_they_are(run, tmp_path):  # noqa: F811
    odd = ["h\\[/x]", "<script>alert('\"')</script>"]
    path = tmp_path / "matrix.json"
    path.write_text(json.dumps({"labels": odd, "counts": [[50, 5], [3, 50]], "positive": odd[0]}))
    status, printed, _ = run("evaluate", "--matrix", path, "--out", tmp_path / "out", *QUICK)
    page = (tmp_path / "out" / "matrix.html").read_text()
    assert status == 0
    assert all(one in printed for one in odd)
    assert "<script" not in page
    assert not balance(page).wrong


def test_numbers_as_labels_and_one_name_printed_twice_are_understood(run, tmp_path):  # noqa: F811
    printed = [{"name": "accuracy", "text": "0.98"}, {"name": "accuracy", "text": "0.93"}]
    path = tmp_path / "matrix.json"
    path.write_text(
        json.dumps({"labels": [0, 1], "counts": [[50, 5], [3, 50]], "positive": 1, "printed": printed})
    )
    assert run("evaluate", "--matrix", path, "--out", tmp_path / "out", *QUICK)[0] == 0
    page = (tmp_path / "out" / "matrix.html").read_text()
    told = rows(section(page, "printed"))
    assert [row[1:] for row in told[1:]] == [
        ["0.98", "0.926 (100 of 108)", "✗ no"],
        ["0.93", "as printed", "yes"],
    ]
    path.write_text(json.dumps({**ARTICLE, "printed": [{"name": "Accuracy", "text": "0.98"}]}))
    status, out, _ = run("evaluate", "--matrix", path, "--json")
    assert status == 1
    assert "accuracy, accuracy_without_looking" in json.loads(out)["error"]["text"]


def test_a_matrix_without_an_error_is_not_certain(run, tmp_path):  # noqa: F811
    path = tmp_path / "matrix.json"
    path.write_text(json.dumps({"labels": ["a", "b"], "counts": [[9, 0], [0, 9]], "positive": "b"}))
    status, printed, _ = run("evaluate", "--matrix", path, *QUICK)
    assert status == 0
    assert "1.000 to 1.000" not in printed
    document = json.loads(run("evaluate", "--matrix", path, *QUICK, "--json")[1])
    (macro,) = [one for one in document["figures"] if one["name"] == "macro_f1"]
    assert macro["low"] is None
    assert macro["remarks"] == [
        "all matrices that were drawn give the same: how far it may be off is not known"
    ]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"labels": ["a", "b"]}', '{"labels": ["a", "b"], "counts": [[1, 2]]}'],
)
def test_what_is_no_matrix_is_refused(run, tmp_path, content):  # noqa: F811
    path = tmp_path / "matrix.json"
    path.write_text(content)
    status, out, _ = run("evaluate", "--matrix", path, "--json")
    assert (status, json.loads(out)["error"]["code"]) == (1, "DN-7029")


def test_a_split_beside_the_data_is_not_overlooked(run, volumes, engines, tmp_path):  # noqa: F811
    data = tmp_path / "data"
    shutil.copytree(volumes, data)
    save_split(data / "split.json", draw_split(strata_of(read_labelled([data]).studies)))
    kept = (data / "split.json").read_bytes()
    status, printed, _ = run("evaluate", engines[0], "--data", data, *QUICK, "--json")
    assert status == 0
    document = json.loads(printed)
    assert sum(document["data"]["parts"].values()) == 4
    assert any("of these are for training" in one for one in document["warnings"])
    assert (data / "split.json").read_bytes() == kept


def test_a_full_disk_keeps_the_numbers_and_leaves_nothing_half(
    run,  # noqa: F811
    volumes,
    engines,
    tmp_path,
    monkeypatch,
):
    written: list[str] = []

    def full(disk, path, content):
        if path.suffix == ".html":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path.name)
        write_whole(disk, path, content)

    monkeypatch.setattr("dicomnode.cli.writing.write_whole", full)
    status, out, _ = run(
        *(
            "evaluate",
            engines[0],
            "--data",
            volumes / "case-0001",
            *QUICK,
            "--out",
            tmp_path / "out",
            "--json",
        )
    )
    assert (status, json.loads(out)["error"]["code"]) == (1, "DN-9008")
    assert "No space left on device" in json.loads(out)["error"]["text"]
    assert written == [path.name for path in (tmp_path / "out").iterdir()] == ["evaluation.json"]


def test_engines_of_different_outputs_are_compared_where_they_answer_the_same(
    run,  # noqa: F811
    volumes,
    engines,
    tmp_path,
):
    folder = tmp_path / "other"
    shutil.copytree(engines[1], folder)
    toml = (folder / "engine.toml").read_text()
    first = toml.index("[[output]]")
    without_liver = toml[:first] + toml[toml.index("[[output]]", first + 1) :]
    (folder / "engine.toml").write_text(without_liver)
    status, out, _ = run(
        *("evaluate", engines[0], "--data", volumes, "--labels", volumes / "labels.csv", *QUICK),
        *("--compare", folder, "--json"),
    )
    document = json.loads(out)
    assert status == 0
    compared = {one["output"] for one in document["comparison"]["differences"]}
    assert "liver" not in compared
    assert "liver_volume_ml" in compared
    assert any("liver" in text for text in document["comparison"]["remarks"])


def test_interrupted_it_ends_with_130_and_leaves_nothing(volumes, engines, tmp_path):
    """As a terminal interrupts: every process of the command is told."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "dicomnode", "evaluate", str(engines[0]), "--data", str(volumes)]
    started = subprocess.Popen(
        [*command, "--out", str(out), "--resamples", "300000"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        # A shell that starts the tests in its background has them ignore it, and a process inherits that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert started.stderr is not None
    for line in started.stderr:  # until the engine has answered, and the bootstrap has begun
        if line.startswith("analysing studies"):
            break
    os.killpg(started.pid, signal.SIGINT)
    started.communicate(timeout=60)
    assert started.returncode == 130
    assert not out.exists()
    assert not list(tmp_path.iterdir())
    with pytest.raises(ProcessLookupError):
        os.killpg(started.pid, 0)  # no decoder is left
