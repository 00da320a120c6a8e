"""`dicomnode engine add`: a network of any maker becomes an engine that runs, or a sentence that helps."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tomllib
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from dicomnode.cli import engine_add, main
from dicomnode.engine import Draft, load_package
from dicomnode.engine.adding.answers import Answers
from dicomnode.engine.adding.propose import draft_from_onnx
from dicomnode.engine.adding.sources import SourceKind
from dicomnode.engine.adding.trial import Limits
from dicomnode.engine.wording import words
from dicomnode.faults import (
    ANSWER_WRONG,
    DRAFT_WRONG,
    ENGINE_EXISTS,
    ENGINE_NOT_WRITTEN,
    FAULTS,
    QUESTIONS_OPEN,
    USAGE,
)
from tests.unit.engine.foreign import FREE, KINDS, endless, graph_of, greedy, of_numbers, one, save, small_ct


@pytest.fixture
def run(capsys):
    """Run `dicomnode …` in this process; give (exit status, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, " ".join(shown.err.split())

    return call


@pytest.fixture(scope="module")
def ct(tmp_path_factory) -> Path:
    return small_ct(tmp_path_factory.mktemp("ct"))


# What must be known beyond what is proposed; what engine.toml then says; what `try` finds
RUNS: dict[str, tuple[list[str], dict[str, object], str]] = {
    "2D U-Net": (["labels=left kidney,right kidney"], {"interpret": "labels"}, "findings"),
    "3D U-Net, InstanceNormalization, ConvTranspose": (
        ["labels=liver,spleen", "spacing_kji_mm=8"],
        {"interpret": "labels", "window": {"size_kji": [16, 16, 16], "overlap": 0.5}},
        "findings",
    ),
    "3D U-Net, GroupNormalization, Resize": (
        ["labels=liver,spleen", "fit=resize"],
        {"interpret": "labels", "window": "whole"},
        "findings",
    ),
    "2D ResNet": (["labels=-,nodule,-,-"], {"interpret": "sequence", "window": "whole"}, "classifications"),
    "3D ResNet": (
        ["labels=-,a,b,c", "channels=repeat"],
        {"interpret": "classes", "window": "whole"},
        "classifications",
    ),
    "DenseNet": (["labels=nodule,mass"], {"interpret": "sequence"}, "classifications"),
    "vision transformer": (["labels=a,b,c"], {"interpret": "sequence"}, "classifications"),
    "box finder": (["labels=nodule"], {"interpret": "boxes"}, "regions"),
    "of numbers": (['tags=["KVP", "SliceThickness"]'], {"interpret": "classes"}, "classifications"),
    "a mask of any size": (["labels=lung"], {"interpret": "sigmoid", "window": "whole"}, "findings"),
    "in half precision": (["labels=lung"], {"interpret": "sigmoid"}, "findings"),
    "in double precision": (["labels=lung"], {"interpret": "sigmoid"}, "findings"),
    "of whole numbers": (["labels=lung"], {"interpret": "sigmoid"}, "findings"),
}


def test_every_kind_of_network_is_tried():
    assert set(RUNS) == set(KINDS)


@pytest.mark.parametrize("kind", list(RUNS))
def test_a_network_of_any_kind_becomes_an_engine_that_runs_on_a_series(run, ct, tmp_path, kind):
    answers, expected, found = RUNS[kind]
    source = save(KINDS[kind](), tmp_path / "net.onnx")
    options = [part for answer in answers for part in ("--set", answer)]
    status, told, err = run("engine", "add", source, "--into", tmp_path, "--yes", *options, "--json")
    assert (status, err) == (0, "")
    folder = Path(json.loads(told)["folder"])
    step = tomllib.loads((folder / "engine.toml").read_text(encoding="utf-8"))["step"][0]
    assert {key: step[key] for key in expected} == expected
    assert run("engine", "check", "net", "--path", folder)[0] == 0
    status, told, err = run("try", ct, "--engine-path", folder, "--json")
    assert status == 0, told
    assert json.loads(told)[found], told


# ── what cannot become an engine: what is said of it, and what to do ──


def _cut_off(path: Path) -> Path:
    save(one("Relu"), path)
    path.write_bytes(path.read_bytes()[:-7])
    return path


def _external(path: Path, location: str) -> Path:
    model = KINDS["2D U-Net"]()
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    content = path.read_bytes()
    # The same length: the file stays whole
    path.write_bytes(content.replace(b"weights.bin", location.encode()))
    return path


def _zip(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return path


def _folder(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"{}")
    return path


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _huge(path: Path) -> Path:
    save(one("Relu"), path)
    os.truncate(path, 2**31 + 5)  # a hole: it takes no room
    return path


def _twice() -> onnx.ModelProto:
    model = one("Relu")
    model.graph.input.append(model.graph.input[0])
    return model


BAD: dict[str, tuple[Callable[[Path], Path], str, str, str]] = {
    "not there": (lambda d: d / "none.onnx", "DN-4200", "it is not there", "Give the path"),
    "a text": (
        lambda d: _written(d / "notes.txt", b"hello, this is a text"),
        "DN-4200",
        "what is in it is not known",
        "a MONAI bundle",
    ),
    "a text called .onnx": (
        lambda d: _written(d / "net.onnx", b"hello, this is a text"),
        "DN-4201",
        "it is",
        "torch.onnx.export",
    ),
    "an empty file": (
        lambda d: _written(d / "net.onnx", b""),
        "DN-4201",
        "it has no graph",
        "export it again",
    ),
    "cut off": (lambda d: _cut_off(d / "net.onnx"), "DN-4201", "cut off or damaged", "export it again"),
    "larger than 2 GiB": (lambda d: _huge(d / "net.onnx"), "DN-4201", "more than 2 GiB", "half precision"),
    "a newer operator set": (
        lambda d: save(one("Relu", imports=[("", 99)]), d / "net.onnx"),
        "DN-4206",
        "its operator set is newer than",
        "or earlier",
    ),
    "a newer form": (
        lambda d: save(one("Relu", ir=99), d / "net.onnx"),
        "DN-4206",
        "Unsupported model IR version: 99",
        "update onnxruntime",
    ),
    "an operator of somebody's own": (
        lambda d: save(one("Blend", "acme", imports=[("", 20), ("acme", 1)]), d / "net.onnx"),
        "DN-4206",
        "acme:Blend",
        "ONNX's own operators",
    ),
    "an operator that does not exist": (
        lambda d: save(one("Blend"), d / "net.onnx"),
        "DN-4206",
        "No Op registered for Blend",
        "ONNX's own operators",
    ),
    "a text as input": (
        lambda d: save(one("Identity", dtype=TensorProto.STRING), d / "net.onnx"),
        "DN-4201",
        "string is of a type that does not run here",
        "float32",
    ),
    "bfloat16": (
        lambda d: save(one("Relu", dtype=TensorProto.BFLOAT16), d / "net.onnx"),
        "DN-4201",
        "bfloat16 is of a type",
        "float32",
    ),
    "no axes of space": (
        lambda d: save(one("Relu", shape=["n"]), d / "net.onnx"),
        "DN-4201",
        "has no axes of space",
        "slices, rows, columns",
    ),
    "tokens": (
        lambda d: save(one("Relu", shape=["n", 16, 32]), d / "net.onnx"),
        "DN-4201",
        "no axes of space that can be told",
        "--set axes=",
    ),
    "no number of axes": (
        lambda d: save(one("Relu", shape=None), d / "net.onnx"),
        "DN-4201",
        "does not say how many axes",
        "the shape of its input",
    ),
    "an axis of no length": (
        lambda d: save(one("Relu", shape=[1, 0, 8, 8, 8]), d / "net.onnx"),
        "DN-4201",
        "an axis of no length",
        "dynamic axes",
    ),
    "the same name twice": (
        lambda d: save(_twice(), d / "net.onnx"),
        "DN-4201",
        "have the name 'x'",
        "a name for each",
    ),
    "numbers of classes": (
        lambda d: save(
            graph_of([helper.make_node("ArgMax", ["x"], ["y"], axis=1)], outputs=[("y", TensorProto.INT64)]),
            d / "net.onnx",
        ),
        "DN-4201",
        "the number of a class for each voxel",
        "ArgMax",
    ),
    "not a number": (
        lambda d: save(
            graph_of([helper.make_node("Neg", ["x"], ["n"]), helper.make_node("Log", ["n"], ["y"])]),
            d / "net.onnx",
        ),
        "DN-4201",
        "not a number",
        "[step.gate]",
    ),
    "another answer each time": (
        lambda d: save(one("RandomNormalLike"), d / "net.onnx"),
        "DN-4201",
        "another one when it runs again",
        "model.eval()",
    ),
    "its data are not beside it": (
        lambda d: _external(d / "net.onnx", "weights.nil"),
        "DN-4201",
        "'weights.nil', which is not beside it",
        "where the network is",
    ),
    "its data lie elsewhere": (
        lambda d: _external(d / "in" / "net.onnx", "../else.bin"),
        "DN-4201",
        "not in its folder",
        "a source that you trust",
    ),
    "its data are a file of the system": (
        lambda d: _external(d / "net.onnx", "/etc/passwd"),
        "DN-4201",
        "not in its folder",
        "a source that you trust",
    ),
    "weights without a network": (
        lambda d: _zip(d / "weights.pt", "archive/data.pkl", "archive/data/0"),
        "DN-4200",
        "weights without the network",
        "torch.onnx.export",
    ),
    "an old checkpoint": (
        lambda d: _written(d / "weights.pth", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."),
        "DN-4200",
        "weights without the network",
        "torch.onnx.export",
    ),
    "a Keras file": (
        lambda d: _written(d / "model.h5", b"\x89HDF\r\n\x1a\n" + bytes(20)),
        "DN-4200",
        "HDF5",
        "tf2onnx",
    ),
    "a SavedModel": (lambda d: _folder(d / "saved", "saved_model.pb"), "DN-4200", "SavedModel", "tf2onnx"),
    "a folder of pictures": (
        lambda d: _folder(d / "pictures", "a.png"),
        "DN-4200",
        "nothing in this folder is known",
        "an ONNX file",
    ),
    "a folder with a network": (
        lambda d: _folder(d / "nets", "net.onnx"),
        "DN-4200",
        "a folder with an ONNX file",
        "net.onnx",
    ),
    "an engine": (
        lambda d: _folder(d / "engine", "engine.toml"),
        "DN-4200",
        "an engine already",
        "--engine-path",
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_what_cannot_become_an_engine_is_named_with_what_to_do(run, tmp_path, case):
    make, code, reason, advice = BAD[case]
    source = make(tmp_path)
    status, told, _ = run("engine", "add", source, "--into", tmp_path / "out", "--yes", "--json")
    error = json.loads(told)["error"]
    assert (status, error["code"]) == (12, code), error
    assert reason in error["text"]
    assert advice in error["remedy"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("make", [endless, greedy], ids=["a loop without an end", "a hundred gigabytes"])
def test_a_hostile_network_neither_hangs_nor_ends_the_command(run, tmp_path, make):
    source = save(make(), tmp_path / "net.onnx")
    limits = ("--time-limit", 3 if make is endless else 60, "--memory-gb", 2)
    status, told, _ = run("engine", "add", source, "--yes", *limits, "--json")
    error = json.loads(told)["error"]
    assert (status, error["code"]) == (12, "DN-4206"), error
    expected = "--time-limit" if make is endless else "--memory-gb"
    assert expected in error["remedy"]


# ── the data beside it, names, places ──


def test_data_beside_the_network_are_put_into_it(run, tmp_path):
    source = _external(tmp_path / "net.onnx", "weights.bin")
    assert run("engine", "add", source, "--into", tmp_path / "out", "--yes")[0] == 0
    assert sorted(one.name for one in (tmp_path / "out" / "net").iterdir()) == [
        "card.md",
        "engine.toml",
        "net.onnx",
    ]
    whole = onnx.load(tmp_path / "out" / "net" / "net.onnx", load_external_data=False)
    assert all(not one.external_data for one in whole.graph.initializer)


def test_a_path_with_spaces_and_other_letters_is_a_path(run, tmp_path):
    source = save(one("Sigmoid"), tmp_path / "Größe der Lunge" / "mein Netz ü.onnx")
    status, told, _ = run("engine", "add", source, "--into", tmp_path / "a b", "--yes", "--json")
    assert status == 0
    package = load_package(Path(json.loads(told)["folder"]))
    assert package.manifest.name == "mein-netz"


def test_a_name_that_is_taken_stays_and_replace_takes_its_place(run, tmp_path):
    source = save(one("Sigmoid"), tmp_path / "net.onnx")
    first = [*("engine", "add", source, "--into", tmp_path / "out", "--yes", "--set", "labels=liver")]
    assert run(*first)[0] == 0
    before = (tmp_path / "out" / "net" / "engine.toml").read_bytes()
    status, _, err = run(*first[:-1], "labels=spleen")
    assert status == 2
    assert "DN-4204" in err
    assert "--replace" in err
    assert (tmp_path / "out" / "net" / "engine.toml").read_bytes() == before
    assert run(*first[:-1], "labels=spleen", "--replace")[0] == 0
    assert load_package(tmp_path / "out" / "net").manifest.output[0].label == "spleen"
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["net"]


def test_what_is_no_engine_is_not_replaced(run, tmp_path):
    source = save(one("Sigmoid"), tmp_path / "net.onnx")
    keep = _folder(tmp_path / "out" / "net", "thesis.txt")
    status, _, err = run("engine", "add", source, "--into", tmp_path / "out", "--yes", "--replace")
    assert status == 2
    assert "no engine that could be replaced" in err
    assert (keep / "thesis.txt").is_file()


def test_a_folder_that_cannot_be_written_to_is_named(run, tmp_path):
    source = save(one("Sigmoid"), tmp_path / "net.onnx")
    (tmp_path / "out").write_text("a file, no folder")
    status, told, _ = run("engine", "add", source, "--into", tmp_path / "out", "--yes", "--json")
    error = json.loads(told)["error"]
    assert (status, error["code"]) == (1, "DN-4205")
    assert "--into" in error["remedy"]


# ── answers ──


def test_without_answers_it_lists_what_is_missing_with_an_example_that_works(run, tmp_path):
    source = save(one("Sigmoid"), tmp_path / "net.onnx")
    status, told, _ = run("engine", "add", source, "--into", tmp_path, "--json")
    error = json.loads(told)["error"]
    assert (status, error["code"]) == (2, "DN-4202")
    for key in ("modality", "orientation", "spacing_kji_mm", "intensity", "labels"):
        assert f"\n  {key}: " in error["text"]
    assert "interpret" not in error["text"]  # its last operator says it
    example = "--set modality=CT --set orientation=LPS --set spacing_kji_mm=keep --set intensity=-1000..400 "
    assert f"{example}--set labels=class-1." in error["remedy"]
    assert (
        run("engine", "add", source, "--into", tmp_path, *example.split(), "--set", "labels=class-1")[0] == 0
    )


def test_answers_come_from_a_file_and_what_is_set_comes_before_them(run, tmp_path):
    source = save(one("Sigmoid"), tmp_path / "net.onnx")
    answers = tmp_path / "answers.toml"
    answers.write_text(
        'name = "mine"\nmodality = "MR"\nprepare = [{ orient = "SAR" }, { z_score = {} }]\n'
        "[[labels]]\n"
        'name = "left kidney"\nmeasure = ["volume_mm3"]\n'
    )
    said = ("--answers", answers, "--set", "modality=PT", "--set", "version=2.1")
    assert run("engine", "add", source, "--into", tmp_path, *said)[0] == 0
    manifest = load_package(tmp_path / "mine").manifest
    assert manifest.version == "2.1"
    [series] = manifest.input
    assert series.require[0].equals == "PT"
    assert [one.name for one in series.prepare] == ["orient", "z_score"]
    [kidney] = manifest.output
    assert (kidney.label, kidney.laterality, kidney.measure) == ("kidney", "left", ("volume_mm3",))
    assert kidney.concept.value == "64033007"
    gate = manifest.step[0].gate
    assert (gate.low, gate.high) == (-3.0, 3.0)


WRONG = {
    "colour=red": "colour",
    "modality=ct": "Modality (0008,0060)",
    "orientation=LLS": "one of L and R",
    "intensity=400..-1000": "the smaller number first",
    "spacing_kji_mm=0,1,1": "3 numbers above 0",
    "labels=a,b,c": "expected one label",
    "interpret=labels": "one of sigmoid",
    "axes=kjinc": "axes of engine.toml",
    "axes=ncji": "one letter for each axis of an input",
}


@pytest.mark.parametrize("answer", list(WRONG))
def test_an_answer_that_cannot_be_is_refused_with_what_is_expected(run, tmp_path, answer):
    source = save(one("Sigmoid"), tmp_path / "net.onnx")
    status, told, _ = run("engine", "add", source, "--into", tmp_path, "--yes", "--set", answer, "--json")
    error = json.loads(told)["error"]
    assert (status, error["code"]) == (2, "DN-4203"), error
    assert WRONG[answer] in error["text"]
    assert answer.partition("=")[0] in error["text"]


PIECES_OF_A_WRONG_FORM = {
    "outputs=3": "a list of tables",
    "outputs=[3]": "a list of tables",
    "measure=3": "a list of texts",
    "measure=[3]": "a list of texts",
    "require=Modality": "a list of tables",
    "prefer={ tag = 'Modality' }": "a list of tables",
    "covers=[3]": "some text",
    "prepare=3": "a list of tables",
    "prepare=['orient']": "a list of tables",
    "window=3": '"whole", or a table',
    "inputs=['x']": "a table",
    "precisions=3": "a list of texts",
    "sigmoid=0.5": "a table",
    "labels=[{ name = 3 }]": "names, or tables",
    "labels=[{ name = 'liver', channel = 'x' }]": "channel",
    "labels=[]": "a list",
}


@pytest.mark.parametrize("answer", list(PIECES_OF_A_WRONG_FORM))
def test_a_piece_of_engine_toml_of_a_wrong_form_is_refused_as_an_answer(run, tmp_path, answer):
    source = save(one("Sigmoid"), tmp_path / "net.onnx")
    said = ("--yes", "--set", answer, "--json")
    status, told, _ = run("engine", "add", source, "--into", tmp_path / "out", *said)
    error = json.loads(told)["error"]
    assert (status, error["code"]) in {(2, "DN-4203"), (2, "DN-4208")}, error
    assert PIECES_OF_A_WRONG_FORM[answer] in error["text"]
    assert not (tmp_path / "out").exists()


def test_the_exit_status_tells_an_answer_from_a_source_and_a_folder():
    """As the help has it: 2 what was typed, 12 the network, 1 where it goes."""
    of_add = {code: row.exit_code for code, row in FAULTS.items() if "DN-4200" <= code <= "DN-4209"}
    typed = {QUESTIONS_OPEN.code, ANSWER_WRONG.code, ENGINE_EXISTS.code, DRAFT_WRONG.code}
    expected = {code: 2 if code in typed else 12 for code in of_add} | {ENGINE_NOT_WRITTEN.code: 1}
    assert of_add == expected
    assert "2 usage, an answer is missing or wrong, or the name is taken, 12 SOURCE" in engine_add.EPILOG


LIMITS_THAT_CANNOT_BE = {
    ("--time-limit", "0"): "between 1 and 86400 seconds",
    ("--time-limit", "-3"): "between 1 and 86400 seconds",
    ("--time-limit", "nan"): "between 1 and 86400 seconds",
    ("--time-limit", "86401"): "between 1 and 86400 seconds",
    ("--memory-gb", "0"): "at least 1 GB",
    ("--memory-gb", "-1"): "at least 1 GB",
    ("--memory-gb", "nan"): "at least 1 GB",
    ("--memory-gb", "100000"): "this machine has",
}


@pytest.mark.parametrize(("option", "value"), list(LIMITS_THAT_CANNOT_BE))
def test_a_limit_that_cannot_be_is_refused_with_the_values_that_can(run, tmp_path, option, value):
    source = save(one("Sigmoid"), tmp_path / "net.onnx")
    status, told, _ = run("engine", "add", source, "--yes", option, value, "--json")
    error = json.loads(told)["error"]
    assert (status, error["code"]) == (2, USAGE.code), error
    assert f"{option} {value}" in error["text"]
    assert LIMITS_THAT_CANNOT_BE[option, value] in error["text"]


def test_axes_are_said_of_the_image_also_where_a_row_of_numbers_goes_in(run, tmp_path):
    """The answer is for the input with so many axes."""
    nodes = [
        helper.make_node("ReduceMean", ["n"], ["m"], keepdims=0),
        helper.make_node("Add", ["x", "m"], ["s"]),
        helper.make_node("Sigmoid", ["s"], ["y"]),
    ]
    model = graph_of(nodes, shape=["b", 32, 32])
    model.graph.input.append(helper.make_tensor_value_info("n", TensorProto.FLOAT, ["b", 2]))
    source = save(model, tmp_path / "net.onnx")
    said = ("--set", "axes=nji", "--set", 'tags=["KVP", "SliceThickness"]')
    status, told, _ = run("engine", "add", source, "--into", tmp_path, "--yes", *said, "--json")
    assert status == 0, told
    [step] = load_package(tmp_path / "net").manifest.step
    assert {name: feed.axes for name, feed in step.inputs.items()} == {"x": "nji", "n": "nckji"}


@pytest.mark.parametrize(
    "answer",
    [
        "prepare=[{ turn = 1 }]",
        "require=[{ tag = 'Modality' }]",
        "outputs=[{}]",
        "inputs={ z = { of = 'ct' } }",
    ],
)
def test_a_piece_of_engine_toml_that_is_wrong_is_found_before_anything_is_written(run, tmp_path, answer):
    source = save(one("Sigmoid"), tmp_path / "net.onnx")
    said = ("--yes", "--set", answer, "--json")
    status, told, _ = run("engine", "add", source, "--into", tmp_path / "out", *said)
    assert (status, json.loads(told)["error"]["code"]) == (2, "DN-4208"), told
    assert not (tmp_path / "out").exists()


def test_what_no_one_can_propose_is_missing_also_with_yes(run, tmp_path):
    source = save(of_numbers(), tmp_path / "net.onnx")
    status, told, _ = run("engine", "add", source, "--into", tmp_path, "--yes", "--json")
    error = json.loads(told)["error"]
    assert (status, error["code"]) == (2, "DN-4202")
    assert "\n  tags: which 2 attributes" in error["text"]


def test_axes_that_the_file_does_not_tell_can_be_said(run, tmp_path):
    source = save(one("Sigmoid", shape=["n", 32, 32]), tmp_path / "net.onnx")
    assert run("engine", "add", source, "--into", tmp_path, "--yes", "--set", "axes=nji")[0] == 0
    [step] = load_package(tmp_path / "net").manifest.step
    assert step.interpret == "sigmoid"
    assert [(name, feed.axes) for name, feed in step.inputs.items()] == [("x", "nji")]


def test_on_a_terminal_each_question_is_asked_until_its_answer_can_be_taken(run, tmp_path, monkeypatch):
    source = save(one("Sigmoid", shape=FREE), tmp_path / "net.onnx")
    monkeypatch.setattr(engine_add, "_is_terminal", lambda: True)
    typed = ["ct", "MR", "SAR", "1.5", "", "brain"]  # the first modality is none; intensity as proposed
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(typed) + "\n"))
    status, told, err = run("engine", "add", source, "--into", tmp_path)
    assert status == 0
    assert "expected a value of Modality" in err
    [series] = load_package(tmp_path / "net").manifest.input
    assert [one.name for one in series.prepare] == ["orient", "resample_mm", "z_score"]
    assert series.prepare[1].resample_mm == (1.5, 1.5, 1.5)
    assert 'mode = "shadow"' in told
    assert "dicomnode try DIR --engine-path" in told


def test_what_an_engine_takes_is_told_in_the_words_in_which_why_tells_its_rules(run, tmp_path):
    source = save(one("Sigmoid"), tmp_path / "net.onnx")
    rules = '[{ tag = "Modality", equals = "CT" }, { tag = "ContrastBolusAgent", present = true }]'
    status, told, _ = run("engine", "add", source, "--into", tmp_path, "--yes", "--set", f"require={rules}")
    assert status == 0
    [series] = load_package(tmp_path / "net").manifest.input
    expected = ", ".join(words(rule) for rule in series.require)
    assert expected == "Modality is CT, Contrast Bolus Agent is given"
    assert expected in " ".join(told.split())


def test_the_lines_for_the_settings_are_lines_of_the_settings(run, tmp_path):
    from dicomnode.settings import EngineSettings, read_table

    source = save(one("Sigmoid"), tmp_path / "net.onnx")
    document = json.loads(run("engine", "add", source, "--into", tmp_path, "--yes", "--json")[1])
    [table] = tomllib.loads(document["settings"])["engine"]
    settings, problems = read_table(EngineSettings, table, "engine")
    assert problems == []
    assert settings is not None
    assert (settings.mode, settings.path) == ("shadow", tmp_path / "net")


def test_export_writes_a_repository_of_models(run, tmp_path):
    source = save(one("Sigmoid"), tmp_path / "net.onnx")
    assert run("engine", "add", source, "--into", tmp_path, "--yes")[0] == 0
    said = ("--path", tmp_path / "net", "--triton", tmp_path / "models", "--json")
    status, told, _ = run("engine", "export", "net", *said)
    assert status == 0
    [model] = json.loads(told)["models"]
    assert (Path(model) / "1" / "model.onnx").read_bytes() == source.read_bytes()
    shutil.rmtree(tmp_path / "net")
    assert run("engine", "export", "net", *said)[0] == 12


def test_where_a_runtime_compiles_networks_the_command_that_does_it_is_told(run, tmp_path, monkeypatch):
    source = save(one("Sigmoid"), tmp_path / "net.onnx")
    for there in (False, True):
        monkeypatch.setattr(engine_add, "_needs_plans", lambda there=there: there)
        status, told, _ = run("engine", "add", source, "--into", tmp_path, "--yes", "--replace")
        assert status == 0
        assert (f"dicomnode engine build --path {tmp_path / 'net'}" in told) is there


CONVERTED = {
    "MONAI": ("monai", "convert_monai"),
    "NNUNET": ("nnunet", "convert_nnunet"),
    "TORCHSCRIPT": ("torchscript", "convert_torchscript"),
    "SKLEARN": ("sklearn", "convert_sklearn"),
}


@pytest.mark.parametrize("kind", list(CONVERTED))
def test_other_kinds_go_to_their_converter_with_the_answers(run, tmp_path, monkeypatch, kind):
    sources = {
        "MONAI": lambda: _folder(tmp_path / "bundle", "configs/metadata.json"),
        "NNUNET": lambda: _folder(tmp_path / "result", "plans.json", "dataset.json"),
        "TORCHSCRIPT": lambda: _zip(tmp_path / "net.pt", "net/constants.pkl"),
        "SKLEARN": lambda: _zip(tmp_path / "model.skops", "schema.json"),
    }
    seen = []

    def convert(path: Path, answers: dict[str, object] | Answers) -> Draft:
        said = answers.given if isinstance(answers, Answers) else answers
        assert isinstance(answers, Answers) is (kind in {"TORCHSCRIPT", "SKLEARN"})
        seen.append((path, dict(said)))
        given = Answers(given={"name": said["name"]}, accept=True)
        return draft_from_onnx(save(one("Sigmoid"), tmp_path / "net.onnx"), given, Limits(seconds=60.0))

    module, function = CONVERTED[kind]
    name = f"dicomnode.learn.convert.{module}"
    monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(**{function: convert}))
    source = sources[kind]()
    said = ("--into", tmp_path, "--name", "other", "--set", "modality=MR", "--json")
    status, told, _ = run("engine", "add", source, *said)
    assert status == 0, told
    assert json.loads(told)["kind"] == SourceKind[kind].value
    assert seen == [(source, {"modality": "MR", "name": "other"})]
    assert load_package(tmp_path / "other").manifest.name == "other"
