"""Bundles are read from folders and zip files; names, links and sizes that lead elsewhere are refused."""

from __future__ import annotations

import json
import stat
import zipfile

import pytest

from dicomnode.faults import BUNDLE_UNSAFE, SOURCE_INCOMPLETE, NodeError
from dicomnode.learn.convert.monai_bundle import opened, texts_of

FILES = {
    "configs/metadata.json": json.dumps({"version": "1.0.0"}),
    "configs/inference.json": json.dumps({"inferer": {"_target_": "SimpleInferer"}}),
    "models/model.pt": "weights",
}


def folder_of(path, files=FILES):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(content)
    return path


def zip_of(path, files=FILES, around="", extra=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(around + name, content)
        for info, content in extra:
            archive.writestr(info, content)
    return path


def read(path):
    with opened(path) as bundle:
        return texts_of(bundle), bundle.read("models/model.pt", 100)


@pytest.mark.parametrize("kind", ["folder", "zip", "zip with a folder around"])
def test_folders_and_zip_files_are_the_same_bundle(kind, tmp_path):
    if kind == "folder":
        path = folder_of(tmp_path / "spleen")
    else:
        path = zip_of(tmp_path / "spleen.zip", around="" if kind == "zip" else "spleen/")
    texts, weights = read(path)
    assert (texts.name, texts.metadata["version"], weights) == ("spleen", "1.0.0", b"weights")
    assert texts.inference == {"inferer": {"_target_": "SimpleInferer"}}


def test_yaml_is_read_by_its_safe_loader_alone(tmp_path):
    files = {name: text for name, text in FILES.items() if "inference" not in name}
    plain = {**files, "configs/inference.yaml": "inferer:\n  _target_: SimpleInferer\n"}
    assert read(folder_of(tmp_path / "plain", plain))[0].inference["inferer"]["_target_"] == "SimpleInferer"
    hostile = {**files, "configs/inference.yaml": "!!python/object/apply:os.system ['touch canary']"}
    with pytest.raises(NodeError) as raised:
        read(folder_of(tmp_path / "hostile", hostile))
    assert raised.value.fault is SOURCE_INCOMPLETE
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "..\\evil", "C:evil"])
def test_a_name_that_leads_out_of_the_archive_is_refused(name, tmp_path):
    path = zip_of(tmp_path / "bundle.zip", extra=[(name, "x")])
    with pytest.raises(NodeError, match="leads out of it") as raised:
        read(path)
    assert raised.value.fault is BUNDLE_UNSAFE


def test_a_link_in_an_archive_is_refused(tmp_path):
    link = zipfile.ZipInfo("models/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(NodeError, match="is a link"):
        read(zip_of(tmp_path / "bundle.zip", extra=[(link, "/etc/passwd")]))


def test_a_link_in_a_folder_is_refused(tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    path = folder_of(tmp_path / "bundle")
    (path / "configs" / "metadata.json").unlink()
    (path / "configs" / "metadata.json").symlink_to(secret)
    with pytest.raises(NodeError, match="is a link") as raised:
        read(path)
    assert raised.value.fault is BUNDLE_UNSAFE


def test_a_folder_that_is_a_link_within_the_bundle_is_refused(tmp_path):
    elsewhere = folder_of(tmp_path / "elsewhere")
    path = folder_of(tmp_path / "bundle", {"models/model.pt": "weights"})
    (path / "configs").symlink_to(elsewhere / "configs")
    with pytest.raises(NodeError):
        read(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = zip_of(tmp_path / "bomb.zip", {**FILES, "configs/metadata.json": " " * 50_000_000})
    with pytest.raises(NodeError, match="unpacks to") as raised:
        read(path)
    assert raised.value.fault is BUNDLE_UNSAFE


def test_a_configuration_that_is_too_long_is_refused(tmp_path):
    path = folder_of(tmp_path / "bundle", {**FILES, "configs/metadata.json": '"' + "x" * 5_000_000 + '"'})
    with pytest.raises(NodeError, match="more than 4000000"):
        read(path)


def test_two_files_of_one_name_are_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zip_of(tmp_path / "bundle.zip", extra=[("models/model.pt", "other")])
    with pytest.raises(NodeError, match="two of its files"):
        read(path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"configs/metadata.json": None}, "has no configs/metadata.json"),
        ({"configs/inference.json": None}, "none of configs/inference.json"),
        ({"configs/inference.yaml": "a: 1"}, "2 of configs/inference.json"),
        ({"configs/metadata.json": "[1]"}, "no table"),
        ({"configs/metadata.json": "{"}, "cannot be read"),
        ({"configs/metadata.json": "[" * 100_000}, "cannot be read"),
        ({"models/model.pt": None}, "model.pt"),
    ],
)
def test_what_is_missing_or_broken_is_named(change, problem, tmp_path):
    files = {name: text for name, text in {**FILES, **change}.items() if text is not None}
    for path in (folder_of(tmp_path / "folder", files), zip_of(tmp_path / "file.zip", files)):
        with pytest.raises(NodeError, match=problem) as raised:
            read(path)
        assert raised.value.fault is SOURCE_INCOMPLETE


@pytest.mark.parametrize("content", [None, b"no zip"])
def test_what_is_neither_folder_nor_zip_is_named(content, tmp_path):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NodeError) as raised, opened(path):
        pass
    assert raised.value.fault is SOURCE_INCOMPLETE
