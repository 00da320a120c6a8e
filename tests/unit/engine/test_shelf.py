"""Where engine packages lie."""

from __future__ import annotations

import os
import pwd

import pytest

from dicomnode.engine import (
    configured_engine,
    engine_folders,
    find_engine,
    list_engines,
    shelf,
    shipped_engines_dir,
)
from dicomnode.faults import ENGINE_NOT_FOUND, MANIFEST_WRONG, NETWORK_UNSAFE, NodeError
from dicomnode.settings import EngineSettings
from tests.unit.engine.small_engine import write_engine


def test_the_shipped_engine_is_found_by_its_name():
    package = find_engine("lung-ct")
    assert package.manifest.name == "lung-ct"
    assert package.folder == shipped_engines_dir() / "lung-ct"


def test_the_shipped_engines_come_first_and_folders_of_ones_own_after(tmp_path):
    folder = write_engine(tmp_path)
    shipped = sorted(path.name for path in shipped_engines_dir().iterdir())
    assert "lung-ct" in shipped
    assert [package.manifest.name for package in list_engines([folder])] == [*shipped, "small"]
    folders = [shipped_engines_dir() / name for name in shipped]
    assert engine_folders([shipped_engines_dir() / "lung-ct"]) == folders  # each once


def test_a_wheel_carries_its_engines_inside(tmp_path, monkeypatch):
    inside = write_engine(tmp_path / "dicomnode" / "_shipped" / "engines" / "small")
    monkeypatch.setattr(shelf, "_PACKAGE_ROOT", tmp_path / "dicomnode")
    assert shipped_engines_dir() == inside.parent
    assert find_engine("small").folder == inside


@pytest.mark.parametrize("name", ["other", "../engines/lung-ct", "lung-ct/..", "", ".", ".."])
def test_what_is_no_shipped_engine_is_not_found_and_leads_nowhere(name):
    with pytest.raises(NodeError) as caught:
        find_engine(name)
    assert caught.value.fault is ENGINE_NOT_FOUND


def test_an_engine_of_ones_own_is_found_in_its_folder(tmp_path):
    assert find_engine("small", write_engine(tmp_path)).folder == tmp_path


@pytest.mark.parametrize(
    ("name", "there"), [("lung-ct", True), ("small", False)], ids=["other name", "no folder"]
)
def test_a_folder_without_that_engine_is_said(tmp_path, name, there):
    folder = write_engine(tmp_path / "engine") if there else tmp_path / "nothing"
    with pytest.raises(NodeError) as caught:
        find_engine(name, folder)
    assert caught.value.fault is ENGINE_NOT_FOUND
    assert str(folder) in str(caught.value)


def test_one_broken_package_does_not_hide_the_folders(tmp_path):
    folder = write_engine(tmp_path, **{"schema = 1": "schema = 7"})
    assert engine_folders([folder])[-1] == folder
    with pytest.raises(NodeError) as caught:
        list_engines([folder])
    assert caught.value.fault is MANIFEST_WRONG


def test_a_site_s_own_engine_belongs_to_root_the_service_or_a_user_that_is_named(tmp_path, monkeypatch):
    folder = write_engine(tmp_path)
    owner = folder.stat().st_uid
    assert configured_engine(EngineSettings(name="small", path=folder)).manifest.name == "small"
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    if owner:  # what root owns nobody else can change
        with pytest.raises(NodeError, match="may not own engines"):
            configured_engine(EngineSettings(name="small", path=folder))
    named = EngineSettings(name="small", path=folder, owners=(pwd.getpwuid(owner).pw_name,))
    assert configured_engine(named).manifest.name == "small"


def test_an_engine_s_owner_whom_nobody_knows_is_refused(tmp_path):
    folder = write_engine(tmp_path)
    with pytest.raises(NodeError, match="does not know") as caught:
        configured_engine(EngineSettings(name="small", path=folder, owners=("no-such-user-here",)))
    assert caught.value.fault is NETWORK_UNSAFE
