"""`dicomnode try … --prepared FILE.png`: a sheet of what `prepare` does, beside what `try` does anyway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from dicomnode.cli import try_picture
from dicomnode.faults import FILE_NOT_WRITTEN, NodeError
from tests.unit.analyse.engines import tissue_engine
from tests.unit.cli import test_commands

run = test_commands.run


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return tissue_engine(tmp_path / "tissue", prepare='{ orient = "RAS" }, { clip = [-100.0, 300.0] }').folder


def test_a_sheet_is_drawn_and_what_is_printed_stays(run, engine, small_phantom, tmp_path):
    png = tmp_path / "new" / "prepare.png"
    arguments = ["try", small_phantom.folder / "dicom", "--engine-path", engine]
    status, out, err = run(*arguments, "--prepared", png)
    assert (status, f"drawn in {png}" in err) == (0, True)
    with Image.open(png) as sheet:
        assert (sheet.format, sheet.width > 900, sheet.height > 300) == ("PNG", True, True)
    assert "Tissue by attenuation" in out
    assert json.loads(run(*arguments, "--prepared", png, "--json")[1])["state"] == "done"


@pytest.mark.parametrize("name", ["prepare.jpg", "prepare", "."])
def test_what_is_no_png_is_refused_before_anything_is_read(run, engine, small_phantom, tmp_path, name):
    folder = small_phantom.folder / "dicom"
    status, _, err = run("try", folder, "--engine-path", engine, "--prepared", tmp_path / name)
    assert (status, "reading headers" in err) == (2, False)


def test_where_it_cannot_be_written_is_told_before_anything_is_read(run, engine, small_phantom):
    folder = small_phantom.folder / "dicom"
    status, _, err = run("try", folder, "--engine-path", engine, "--prepared", "/proc/x/prepare.png")
    assert (status, "reading headers" in err) == (1, False)


def test_a_sheet_that_cannot_be_written_in_the_end_costs_no_result(
    run, engine, small_phantom, tmp_path, monkeypatch
):
    def full(path: Path, content: bytes) -> None:
        raise NodeError(FILE_NOT_WRITTEN, path=path, error="No space left on device")

    monkeypatch.setattr(try_picture, "write_file", full)
    out = tmp_path / "out"
    arguments = ["try", small_phantom.folder / "dicom", "--engine-path", engine, "--out", out]
    status, _, err = run(*arguments, "--prepared", tmp_path / "prepare.png")
    assert (status, "No space left" in err) == (1, True)
    assert list(out.rglob("*.dcm"))


def test_where_no_engine_wants_anything_there_is_no_sheet_and_that_is_said(
    run, engine, small_phantom, tmp_path
):
    text = (engine / "engine.toml").read_text()
    (engine / "engine.toml").write_text(text.replace('equals = "CT"', 'equals = "MR"'))
    png = tmp_path / "prepare.png"
    status, _, err = run("try", small_phantom.folder / "dicom", "--engine-path", engine, "--prepared", png)
    assert (status, png.exists()) == (3, False)
    assert "nothing that --prepared could draw" in err


def test_of_many_inputs_the_first_are_drawn_and_that_is_said(
    run,
    engine,
    small_phantom,
    tmp_path,
    monkeypatch,
):
    monkeypatch.setattr(try_picture, "MOST_ROWS", 0)
    png = tmp_path / "prepare.png"
    err = run("try", small_phantom.folder / "dicom", "--engine-path", engine, "--prepared", png)[2]
    assert "(the first 0 inputs)" in err
