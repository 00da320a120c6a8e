"""From torch to ONNX: nothing is believed that does not give torch's numbers."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dicomnode.faults import NodeError
from tests.fixtures.frameworks import needed

torch = needed("torch")

from dicomnode.learn.convert.export import Example, export_onnx, torch_library  # noqa: E402  torch is there


class Normalised(torch.nn.Module):
    """What nnU-Net's networks are made of."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv3d(2, 3, 3, padding=1)
        self.norm = torch.nn.InstanceNorm3d(3, affine=True)
        self.dropout = torch.nn.Dropout3d(0.5)

    def forward(self, image):
        return torch.nn.functional.leaky_relu(self.dropout(self.norm(self.conv(image))))


class Random(torch.nn.Module):
    def forward(self, image):
        return image + torch.rand_like(image)


class Deciding(torch.nn.Module):
    """Goes another way where the image is bright: a trace knows one of them."""

    def forward(self, image):
        return image * 2.0 if image.mean() > 0.1 else image


class NotANumber(torch.nn.Module):
    def forward(self, image):
        return torch.log(image)


def exported(network, *shape, **how) -> bytes:
    return export_onnx(network, {"image": Example(shape=shape, **how)}, ("answer",), source="a network")


def test_a_network_is_exported_with_its_batch_free_and_dropout_off():
    import onnx
    import onnxruntime

    torch.manual_seed(1)
    network = Normalised()
    content = exported(network, 1, 2, 8, 8, 8)
    model = onnx.load_from_string(content)
    assert model.ir_version <= 10
    assert [one.version for one in model.opset_import if not one.domain] == [17]
    assert "InstanceNormalization" in {node.op_type for node in model.graph.node}
    image = np.random.default_rng(2).normal(size=(4, 2, 8, 8, 8)).astype(np.float32)
    found = onnxruntime.InferenceSession(content).run(None, {"image": image})[0]
    with torch.no_grad():
        assert np.abs(found - network(torch.from_numpy(image)).numpy()).max() < 1e-5


def test_free_axes_stay_free():
    import onnxruntime

    content = exported(Normalised(), 1, 2, 16, 16, 16, free=(2, 3, 4))
    image = np.zeros((1, 2, 24, 40, 16), np.float32)
    assert onnxruntime.InferenceSession(content).run(None, {"image": image})[0].shape == (1, 3, 24, 40, 16)


@pytest.mark.parametrize("network", [Random(), Deciding()])
def test_an_export_that_gives_other_numbers_is_refused(network):
    with pytest.raises(NodeError) as error:
        exported(network, 1, 1, 8, 8, 8, low=0.0, high=1.0)
    assert error.value.fault.code == "DN-4224"
    assert "answer differs by" in str(error.value)


def test_an_answer_that_is_no_number_is_no_agreement():
    with pytest.raises(NodeError) as error:
        exported(NotANumber(), 1, 1, 8, 8, 8, low=-2.0, high=-1.0)
    assert error.value.fault.code == "DN-4224"


def test_what_torch_cannot_write_is_refused_with_its_words():
    class Foreign(torch.nn.Module):
        def forward(self, image):
            return torch.linalg.svd(image).S

    with pytest.raises(NodeError) as error:
        exported(Foreign(), 1, 1, 8, 8)
    assert error.value.fault.code == "DN-4223"
    assert "svd" in str(error.value)


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(NodeError) as error:
        torch_library("The conversion of a network")
    assert error.value.fault.code == "DN-4225"
    assert "dicomnode[train]" in error.value.fault.remedy


def test_the_rooms_face_loads_no_framework():
    code = (
        "import sys, dicomnode.learn, dicomnode.learn.convert; "
        "print([n for n in ('torch', 'monai', 'sklearn', 'onnxruntime') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
