"""TorchScript becomes an engine by way of a limited child; what reaches beyond tensors is refused."""

from __future__ import annotations

import sys
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from dicomnode.engine.adding.answers import Answers
from dicomnode.engine.adding.drafting import write_draft
from dicomnode.faults import (
    BUNDLE_UNSAFE,
    CONVERSION_DIED,
    NOT_CONVERTIBLE,
    QUESTIONS_OPEN,
    SOURCE_INCOMPLETE,
    NodeError,
)
from dicomnode.learn import convert_torchscript
from dicomnode.learn.convert.torch_network import TorchInput, TorchNetwork, to_onnx
from tests.fixtures.frameworks import needed

torch = needed("torch")

pytestmark = pytest.mark.slow
SHAPE = (1, 1, 16, 16, 16)


class Halves(torch.nn.Module):
    """Two classes that are known: a value and its negative, smoothed."""

    def __init__(self) -> None:
        super().__init__()
        self.smooth = torch.nn.Conv3d(1, 1, 3, padding=1, bias=False)
        torch.nn.init.constant_(self.smooth.weight, 1 / 27)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = self.smooth(image)
        return torch.cat([-found, found], 1)


class Reads(torch.nn.Module):
    """A network that reads a file of the machine."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + torch.from_file("/etc/passwd", False, 10, dtype=torch.uint8).sum()


class Writes(torch.nn.Module):
    """A network that makes a file."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + torch.from_file(self.path, True, 10, dtype=torch.uint8).sum()


class Table(torch.nn.Module):
    """A network whose output is a table."""

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"pred": image}


def script(module) -> bytes:
    content = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(module.eval()), content)
    return content.getvalue()


def saved(path: Path, module) -> Path:
    path.write_bytes(script(module))
    return path


def network(content: bytes, **changes) -> TorchNetwork:
    return TorchNetwork(source="it", content=content, inputs={"image": TorchInput(shape=SHAPE)}, **changes)


def test_a_script_becomes_an_engine_that_passes_its_gate(tmp_path):
    path = saved(tmp_path / "halves.ts", Halves())
    answers = {"shape": list(SHAPE), "modality": "CT", "labels": ["spleen"], "any_size": True}
    draft = convert_torchscript(path, Answers(given=answers, accept=True))
    package = write_draft(draft, tmp_path / "engine")
    assert package.manifest.step[0].interpret == "labels"
    assert package.manifest.name == "halves"


def test_nothing_is_guessed_without_a_word(tmp_path):
    with pytest.raises(NodeError, match="modality") as raised:
        convert_torchscript(saved(tmp_path / "halves.ts", Halves()), {"shape": list(SHAPE)})
    assert raised.value.fault is QUESTIONS_OPEN


def test_its_shape_is_asked(tmp_path):
    with pytest.raises(NodeError, match="shape") as raised:
        convert_torchscript(saved(tmp_path / "halves.ts", Halves()), {})
    assert raised.value.fault is QUESTIONS_OPEN


def test_the_onnx_gives_what_torch_gives():
    module = Halves()
    made = to_onnx(network(script(module), outputs=("pred",)))
    assert made.outputs == {"pred": (1, 2, 16, 16, 16)}
    from dicomnode.engine.runtimes.contract import Network
    from dicomnode.engine.runtimes.onnxruntime import OnnxRuntime

    runtime = OnnxRuntime()
    session = runtime.load(Network(engine="it", file="n.onnx", content=made.content), runtime.probe(1))
    given = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    with torch.no_grad():
        wanted = module(torch.from_numpy(given)).numpy()
    assert np.abs(session.run({"image": given})["pred"] - wanted).max() < 1e-5
    session.close()


def test_scripts_that_read_or_write_files_are_refused(tmp_path):
    canary = tmp_path / "canary"
    for module in (Reads(), Writes(str(canary))):
        with pytest.raises(NodeError, match="from_file") as raised:
            to_onnx(network(script(module)))
        assert raised.value.fault is BUNDLE_UNSAFE
    assert not canary.exists()


def test_what_is_no_script_or_gives_no_tensor_is_named(tmp_path):
    with pytest.raises(NodeError, match=r"output is a \w+, not one tensor") as raised:
        to_onnx(network(script(Table())))
    assert raised.value.fault is NOT_CONVERTIBLE
    with pytest.raises(NodeError, match="TorchScript") as raised:
        to_onnx(network(b"PK no archive"))
    assert raised.value.fault is NOT_CONVERTIBLE
    with pytest.raises(NodeError) as raised:
        convert_torchscript(tmp_path / "nothing.ts", {"shape": list(SHAPE)})
    assert raised.value.fault is SOURCE_INCOMPLETE


def test_a_shape_that_does_not_fit_is_named():
    wrong = TorchNetwork(
        source="it", content=script(Halves()), inputs={"image": TorchInput(shape=(1, 3, 8, 8, 8))}
    )
    with pytest.raises(NodeError, match="does not run on an input of") as raised:
        to_onnx(wrong)
    assert raised.value.fault is NOT_CONVERTIBLE


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os; os.abort()", "SIGABRT"),
        ("import sys; sys.exit(3)", "exit status 3"),
        ("print('no answer')", "exit status 0"),
        ("while True: pass", "not done within"),
    ],
)
def test_a_child_that_comes_to_an_end_is_an_answer(program, said):
    with pytest.raises(NodeError, match=said) as raised:
        to_onnx(network(b""), limit_s=3.0, command=(sys.executable, "-c", program))
    assert raised.value.fault is CONVERSION_DIED
