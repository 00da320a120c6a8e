"""`dicomnode train features` and `train heads`: from studies to an engine, and what is printed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer

from dicomnode.cli.train_features import add_to
from dicomnode.engine import load_package
from dicomnode.faults import ENGINE_EXISTS, NO_FEATURES, USAGE, NodeError
from dicomnode.learn.features import FeatureTable, read_table, write_table
from dicomnode.learn.generate import SynthPlan, synth_cases
from tests.unit.learn.heads.tables import table
from tests.unit.learn.heads.test_package import ENGINE

QUICK = ("--folds", 2, "--inner", 2, "--trees", 4, "--resamples", 100)


@pytest.fixture
def call(capsys):
    """Run a command of `train`; give exit status and stdout."""

    def run(*arguments: object) -> tuple[int, str]:
        app = typer.Typer()
        add_to(app)
        capsys.readouterr()
        command = typer.main.get_command(app)
        status = command.main([*map(str, arguments)], prog_name="train", standalone_mode=False)
        return int(status or 0), capsys.readouterr().out

    return run


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth") / "data"
    synth_cases(SynthPlan(kind="volumes", cases=2, seed=1), folder)
    return folder


@pytest.fixture
def texture(tmp_path):
    folder = tmp_path / "texture"
    folder.mkdir()
    (folder / "engine.toml").write_text(ENGINE)
    return folder


def studies_of(package, path, patients=12):
    """A table such as the engine `texture` gives."""
    given = table(patients=patients, each=1)
    write_table(
        FeatureTable(
            rows=given.rows,
            names=(
                "intensity_mean",
                "glcm_contrast",
                "glrlm_run_entropy",
                "edge_gradient_mean",
                "shape_volume",
            ),
            units=("1",) * 5,
            values=given.values[:, :5],
            source="engine texture",
            engine_digest=package.digest,
            labels=given.labels,
        ),
        path,
    )
    return path


def test_outlined_lesions_become_a_table_and_the_json_says_what_is_in_it(call, synthetic, tmp_path):
    out = tmp_path / "lesions.csv"
    labels = synthetic / "labels.csv"
    status, shown = call(
        "features", "--data", synthetic, "--labels", labels, "--out", out, "--spacing-mm", 0, "--json"
    )
    document = json.loads(shown)
    read = read_table(out)
    assert status == 0
    assert document["rows"] == len(read.rows) > 0
    assert document["of_lesions"] is True
    assert [one["name"] for one in document["features"]] == list(read.names)
    assert document["left_out"] == []


def test_an_engine_gives_a_row_a_study(call, synthetic, texture, tmp_path):
    out = tmp_path / "studies.json"
    status, shown = call("features", "--data", synthetic, "--engine-path", texture, "--out", out)
    assert status == 0
    assert "2 studies of" in shown
    assert read_table(out).engine_digest == load_package(texture).digest


def test_data_without_what_is_asked_for_gives_no_table(call, synthetic, tmp_path):
    with pytest.raises(NodeError) as caught:
        call("features", "--data", synthetic, "--of", "Kidney", "--out", tmp_path / "t.csv", "--json")
    assert caught.value.fault is NO_FEATURES
    assert not (tmp_path / "t.csv").exists()


def test_heads_are_compared_and_the_best_one_becomes_an_engine(call, texture, tmp_path):
    given = studies_of(load_package(texture), tmp_path / "t.csv")
    out = tmp_path / "grain"
    arguments = ("heads", given, "--label", "sick", "--heads", "logistic,tree", "--engine-path", texture)
    code = ("--code", "yes=SCT,39104002,Illness")
    status, shown = call(*arguments, "--out", out, *code, *QUICK, "--json")
    document = json.loads(shown)
    assert status == 0
    assert {head["name"] for head in document["nested"]["heads"]} == {"logistic", "tree"}
    assert document["head"]["apart"] <= 1e-5
    package = load_package(out)
    assert package.digest == document["out"]["engine"]["digest"]
    assert [one.label for one in package.manifest.output] == ["texture", "illness"]
    assert package.manifest.output[1].concept.value == "39104002"
    kept = json.loads((out / "heads.json").read_text())
    assert kept["nested"] == document["nested"]
    with pytest.raises(NodeError) as caught:
        call(*arguments, "--out", out, *QUICK)
    assert caught.value.fault is ENGINE_EXISTS
    status, shown = call(*arguments, "--out", out, "--replace", "--head", "tree", *QUICK)
    assert status == 0
    sick = load_package(out).manifest.output[1]
    assert (sick.label, sick.concept.scheme) == ("sick", "99DICOMNODE"), "yes alone would say nothing"
    assert "tree: ONNX and scikit-learn differ by" in shown


def test_the_same_call_writes_the_same_network(call, tmp_path):
    write_table(table(), tmp_path / "t.csv")
    for name in ("a", "b"):
        out = tmp_path / name
        call(
            "heads",
            tmp_path / "t.csv",
            "--label",
            "sick",
            "--heads",
            "forest",
            "--out",
            out,
            *QUICK,
            "--json",
        )
    assert (tmp_path / "a" / "head.onnx").read_bytes() == (tmp_path / "b" / "head.onnx").read_bytes()


def test_a_network_stands_in_the_same_table(call, tmp_path):
    given = table()
    write_table(given, tmp_path / "t.csv")
    lines = [
        f"{row.study_instance_uid},{0.9 if text == 'yes' else 0.1}"
        for row, text in zip(given.rows, given.labels["sick"], strict=True)
    ]
    (tmp_path / "cnn.csv").write_text("study_instance_uid,score\n" + "\n".join(lines) + "\n")
    beside = ("--beside", f"cnn={tmp_path / 'cnn.csv'}")
    _, shown = call("heads", tmp_path / "t.csv", "--label", "sick", "--heads", "tree", *beside, *QUICK)
    assert "cnn" in shown
    assert "McNemar" in shown


def test_what_is_not_normal_is_learnt_from_normal_cases_alone(call, texture, tmp_path):
    given = studies_of(load_package(texture), tmp_path / "t.csv")
    out = tmp_path / "odd"
    arguments = ("heads", given, "--label", "sick", "--normal", "no", "--engine-path", texture, "--out", out)
    status, shown = call(*arguments, *QUICK, "--json")
    document = json.loads(shown)
    assert status == 0
    assert {one["name"] for one in document["detectors"]} == {"isolation-forest", "outlier-factor"}
    step = load_package(out).manifest.step[-1]
    assert step.anomaly is not None
    assert np.diff(step.anomaly.normals).min() >= 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--heads", "tree,oak"), "no head 'oak'"),
        (("--heads", "tree", "--head", "svm"), "no head 'svm'"),
        (("--beside", "cnn.csv"), "NAME=FILE.csv"),
        (("--code", "yes=SCT"), "CLASS=SCHEME,CODE,MEANING"),
        (("--code", "ill=SCT,1,Ill"), "classes are no, yes"),
        (("--folds", 2, "--inner", 3), "--inner is at most --folds"),
    ],
)
def test_options_that_cannot_be_are_told_before_the_work(call, tmp_path, arguments, said):
    write_table(table(), tmp_path / "t.csv")
    with pytest.raises(NodeError) as caught:
        call("heads", tmp_path / "t.csv", "--label", "sick", *arguments)
    assert caught.value.fault is USAGE
    assert said in str(caught.value)


def test_help_of_both_ends_in_the_exit_status(call):
    for verb in ("features", "heads"):
        status, shown = call(verb, "--help")
        assert status == 0
        assert "EXIT STATUS: 0" in shown
