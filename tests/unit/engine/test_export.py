"""A model repository for an inference server."""

from __future__ import annotations

import hashlib
import resource

import pytest

from dicomnode.engine import load_package
from dicomnode.engine.export import export_to_triton
from dicomnode.faults import EXPORT_FAILED, NodeError
from tests.unit.engine.small_engine import network, write_engine


def test_each_network_is_a_model_named_with_its_digest(tmp_path):
    package = load_package(write_engine(tmp_path))
    content = network().SerializeToString()
    (folder,) = export_to_triton(package, tmp_path / "models")
    assert folder.name == f"small.net.{hashlib.sha256(content).hexdigest()[:12]}"
    assert (folder / "1" / "model.onnx").read_bytes() == content
    assert 'platform: "onnxruntime_onnx"' in (folder / "config.pbtxt").read_text()
    assert sorted(path.name for path in folder.rglob("*")) == ["1", "config.pbtxt", "model.onnx"]


def test_another_version_stands_beside_the_first(tmp_path):
    repository = tmp_path / "models"
    export_to_triton(load_package(write_engine(tmp_path / "a")), repository)
    export_to_triton(load_package(write_engine(tmp_path / "a2")), repository)
    changed = write_engine(tmp_path / "b", network("Identity").SerializeToString())
    export_to_triton(load_package(changed), repository)
    assert len(list(repository.iterdir())) == 2


def test_where_nothing_can_be_written_it_says_so(tmp_path):
    (tmp_path / "models").write_text("a file, no folder")
    with pytest.raises(NodeError) as caught:
        export_to_triton(load_package(write_engine(tmp_path / "a")), tmp_path / "models")
    assert caught.value.fault is EXPORT_FAILED


@pytest.mark.parametrize("there_before", [False, True])
def test_of_a_model_that_the_disk_has_no_room_for_nothing_new_is_left(tmp_path, there_before):
    package = load_package(write_engine(tmp_path / "a"))
    models = tmp_path / "models"
    before = {}
    if there_before:
        export_to_triton(package, models)
        before = {path: path.read_bytes() for path in models.rglob("*") if path.is_file()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(NodeError) as caught:
            export_to_triton(package, models)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.fault is EXPORT_FAILED
    assert {path: path.read_bytes() for path in models.rglob("*") if path.is_file()} == before
    assert there_before or list(models.iterdir()) == []
