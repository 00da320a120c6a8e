"""Each recipe that ships from nothing: it reads, plans and trains, and its package answers a study.

One epoch on a handful of drawn studies: whether it learns, `make recipes` says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.cli.app import main
from dicomnode.learn.recipes import Shelved, shelved
from tests.fixtures.frameworks import needed
from tests.recipes.heads import drawn_commands, option, with_option

torch = needed("torch")
needed("monai")

ALL = shelved()
NAMES = [f"{one.name}/{one.task}" for one in ALL]
CASES = 12
SHORT = [
    "steps=1",
    "batch=2",
    "width=4",
    "levels=2",
    "latent=8",
    "threshold_part=0.5",
    "validate_part=0.34",
    "test_part=0.01",
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Studies of each kind that a recipe names, drawn when first asked for."""
    return {"": tmp_path_factory.mktemp("drawn")}


def run(words: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def studies_of(words: list[str], drawn: dict[str, Path]) -> Path:
    """Draw what the command draws, but few; for a chest, which takes seconds, a trunk with lesions."""
    kind = words[1].replace("thorax", "volumes")
    if kind not in drawn:
        drawn[kind] = drawn[""] / kind
        few = with_option(with_option(words, "--cases", CASES), "--out", drawn[kind])
        assert run([few[0], kind, *few[2:], "--json"]) == 0
    return drawn[kind]


@pytest.mark.parametrize("one", ALL, ids=NAMES)
def test_a_recipe_makes_an_engine_that_answers_a_study(
    one: Shelved, drawn: dict[str, Path], tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    synth, train, _ = drawn_commands(one)
    studies = studies_of(synth, drawn)
    capsys.readouterr()
    words = with_option(with_option(train, "--data", studies), "--epochs", 1)
    if "--labels" in words:
        words = with_option(words, "--labels", studies / "labels.csv")
    if option(words, "--structure") == "nodule":
        words = with_option(words, "--structure", "lesion")
        words += ["--set", "spacing_kji_mm=[5,5,5]", "--set", "patch_kji=[32,32,32]"]
    if synth[1] == "contrasts":
        words += ["--set", "patch_kji=[12,16,16]"]
    words += [word for key in SHORT for word in ("--set", key)]
    code = run(
        [*words, "--split", str(tmp_path / "split.json"), "--threads", "1", "--device", "cpu", "--json"]
    )
    document = json.loads(capsys.readouterr().out)
    assert code in {0, 4}, document
    assert document["gate_passed"]
    assert document["task"] == one.task
    case = min(studies.glob("case-*/images"))
    assert run(["try", str(case), "--engine-path", document["folder"], "--objects", "SR", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["objects"]
    assert [one["chosen"] for one in answer["verdicts"]].count(True) == 1
