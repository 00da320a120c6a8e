"""Engine packages: verified when loaded, and again when a network is read."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dicomnode.engine import load_package
from dicomnode.engine.package import check_owner
from dicomnode.faults import DIGEST_MISMATCH, MANIFEST_WRONG, NETWORK_UNSAFE, NodeError
from tests.unit.engine.small_engine import model, network, write_engine


def test_a_package_is_loaded_with_its_digest(tmp_path):
    package = load_package(write_engine(tmp_path))
    assert package.manifest.name == "small"
    assert len(package.digest) == 64
    step = package.step("net")
    assert package.step("net.onnx") is step
    assert package.network_bytes(step) == network().SerializeToString()


def test_the_digest_is_that_of_the_content_alone(tmp_path):
    first = load_package(write_engine(tmp_path / "a")).digest
    again = write_engine(tmp_path / "b")
    (again / "card.md").write_text("A card.")
    assert load_package(again).digest == first
    other_text = load_package(write_engine(tmp_path / "c", **{"threshold = 0.5": "threshold = 0.6"})).digest
    other_weights = load_package(write_engine(tmp_path / "d", network("Identity").SerializeToString())).digest
    assert len({first, other_text, other_weights}) == 3


def test_all_problems_of_the_manifest_are_in_the_error(tmp_path):
    folder = write_engine(
        tmp_path, **{"threshold = 0.5": "threshold = 5", 'orient = "LPS"': 'orient = "RAX"'}
    )
    with pytest.raises(NodeError) as caught:
        load_package(folder)
    assert caught.value.fault is MANIFEST_WRONG
    assert "step[2].centre_heat.threshold" in str(caught.value)
    assert "input[1].prepare[1].orient" in str(caught.value)
    assert str(caught.value).count("engine.toml") == 1
    assert "  line 30: step[2]" in str(caught.value)


def test_a_folder_without_a_manifest_is_said(tmp_path):
    with pytest.raises(NodeError, match="No such file") as caught:
        load_package(tmp_path)
    assert caught.value.fault is MANIFEST_WRONG


def test_a_network_that_is_not_the_one_released_is_refused(tmp_path):
    folder = write_engine(tmp_path)
    (folder / "net.onnx").write_bytes(network("Identity").SerializeToString())
    with pytest.raises(NodeError) as caught:
        load_package(folder)
    assert caught.value.fault is DIGEST_MISMATCH


def test_a_network_that_is_exchanged_after_loading_is_refused_when_it_is_read(tmp_path):
    package = load_package(write_engine(tmp_path))
    (tmp_path / "net.onnx").write_bytes(network("Identity").SerializeToString())
    with pytest.raises(NodeError) as caught:
        package.network_bytes(package.step("net"))
    assert caught.value.fault is DIGEST_MISMATCH


def test_a_network_that_is_missing_is_said(tmp_path):
    folder = write_engine(tmp_path)
    (folder / "net.onnx").unlink()
    with pytest.raises(NodeError, match="No such file") as caught:
        load_package(folder)
    assert caught.value.fault is NETWORK_UNSAFE


def test_a_link_to_a_network_outside_the_folder_is_refused(tmp_path):
    folder = write_engine(tmp_path / "engine")
    (folder / "net.onnx").rename(tmp_path / "elsewhere.onnx")
    (folder / "net.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(NodeError, match="link to outside") as caught:
        load_package(folder)
    assert caught.value.fault is NETWORK_UNSAFE


def test_a_folder_that_is_itself_a_link_is_fine(tmp_path):
    write_engine(tmp_path / "engine")
    (tmp_path / "link").symlink_to(tmp_path / "engine")
    assert load_package(tmp_path / "link").manifest.name == "small"


def test_a_network_with_weights_in_another_file_is_refused(tmp_path):
    made = network()
    tensor = made.graph.initializer.add(name="w", data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key="location", value="weights.bin")
    with pytest.raises(NodeError, match="another file") as caught:
        load_package(write_engine(tmp_path, made.SerializeToString()))
    assert caught.value.fault is NETWORK_UNSAFE


@pytest.mark.parametrize(("name", "fault"), [("net.onnx", NETWORK_UNSAFE), ("engine.toml", MANIFEST_WRONG)])
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(tmp_path, name, fault):
    folder = write_engine(tmp_path / "small")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(NodeError, match="no regular file") as caught:
        load_package(folder)
    assert caught.value.fault is fault


def test_a_network_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    folder = write_engine(tmp_path)
    with (folder / "net.onnx").open("r+b") as file:
        file.truncate(2**31)  # sparse: takes no room
    with pytest.raises(NodeError, match="2 GiB") as caught:
        load_package(folder)
    assert caught.value.fault is NETWORK_UNSAFE


def test_a_network_that_the_manifest_does_not_name_is_a_bug_of_the_caller(tmp_path):
    with pytest.raises(KeyError):
        load_package(write_engine(tmp_path)).step("lungs")


def with_data(folder, location="weights.bin", length="4", **changes):
    """An engine whose network adds a weight that lies in a file beside it."""
    made = model([helper.make_node("Add", ["x", "w"], ["mask"])], ["mask"])
    weight = made.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[1])
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "4", "length": length}.items():
        weight.external_data.add(key=key, value=value)
    weights = np.array([7.0, 0.5], np.float32).tobytes()
    digest = hashlib.sha256(weights).hexdigest()
    listed = {"sha256 = ": f'data = {{ "weights.bin" = "{digest}" }}\nsha256 = ', **changes}
    engine = write_engine(folder, made.SerializeToString(), **listed)
    (engine / "weights.bin").write_bytes(weights)
    return engine


def test_tensors_in_a_file_that_the_manifest_lists_are_inside_what_a_runtime_gets(tmp_path):
    package = load_package(with_data(tmp_path))
    content = package.network_bytes(package.step("net"))
    (weight,) = onnx.load_from_string(content).graph.initializer
    assert numpy_helper.to_array(weight).tolist() == [0.5]
    onnx.checker.check_model(onnx.load_from_string(content))
    without = load_package(write_engine(tmp_path / "plain"))
    assert package.digest != without.digest


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"location": "../weights.bin"}, "does not list as data"),
        ({"location": "other.bin"}, "does not list as data"),
        ({"length": "5"}, "beyond the end of weights.bin"),
        ({"length": "-1"}, "length of a tensor"),
    ],
    ids=["another folder", "another file", "beyond the end", "no length"],
)
def test_tensors_elsewhere_than_the_manifest_lists_are_refused(tmp_path, changes, said):
    with pytest.raises(NodeError, match=said) as caught:
        load_package(with_data(tmp_path, **changes))
    assert caught.value.fault is NETWORK_UNSAFE


def test_data_that_are_not_those_of_the_manifest_are_refused(tmp_path):
    engine = with_data(tmp_path)
    (engine / "weights.bin").write_bytes(b"\0" * 8)
    with pytest.raises(NodeError) as caught:
        load_package(engine)
    assert caught.value.fault is DIGEST_MISMATCH


def test_data_that_are_a_link_to_elsewhere_are_refused(tmp_path):
    engine = with_data(tmp_path / "a")
    (engine / "weights.bin").rename(tmp_path / "weights.bin")
    (engine / "weights.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(NodeError, match="link") as caught:
        load_package(engine)
    assert caught.value.fault is NETWORK_UNSAFE


def test_an_engine_that_others_can_change_is_refused(tmp_path):
    engine = with_data(tmp_path)
    package = load_package(engine)
    me = engine.stat().st_uid
    check_owner(package, [me])
    with pytest.raises(NodeError, match="may not own engines"):
        check_owner(package, [me + 1])
    for path in (engine, engine / "engine.toml", engine / "weights.bin"):
        mode = path.stat().st_mode
        path.chmod(mode | 0o002)
        with pytest.raises(NodeError, match="everybody may write") as caught:
            check_owner(package, [me])
        assert caught.value.fault is NETWORK_UNSAFE
        path.chmod(mode)
