"""A whole node whose engine asks for a prior: an archive has it, and the SR says what was compared."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from onnx import TensorProto

from dicomnode.deliver import push_study
from dicomnode.journal import StudyState
from dicomnode.phantom import thorax, write_series
from dicomnode.values import Grid
from tests.unit.analyse.forms import CT, LESION, ONE, engine, node, onnx_bytes, step
from tests.wire.earlier import BEFORE_UID, NOW_UID, PATIENT_ID, dicomweb_plugin
from tests.wire.node import Node, running_node
from tests.wire.peers import DEADLINE_S, Orthanc, Scp, orthanc, store_scp
from tests.wire.test_walk import ENHANCED_SR, RESULTS

pytestmark = [pytest.mark.wire, pytest.mark.slow]
pytest.importorskip("SimpleITK")

PASSWORD = "tr0ub4dor and 3"
SHIFT_MM = (22.0, -15.0, 30.0)
EVERY = 2  # of the phantom's voxels along each axis: a lesser time, and chest enough to lay over another one
AIR = -1000.0
ALIKE_HU = 40.0  # mean difference of a chest and the same one laid over it, in noise and half voxels
PRIOR = f"""
[[input]]
name = "before"
kind = "volume"
require = [{{ tag = "Modality", equals = "CT" }}]
outside = {AIR}
register = "rigid"
[input.prior]
"""


@dataclass(frozen=True)
class Chests:
    """The current study, and the earlier one: the same chest, and the patient lay elsewhere."""

    now: list[Path]
    before: list[Path]


def examination(folder: Path, study_uid: str, study_date: str, shift_mm: tuple[float, ...]) -> list[Path]:
    """Write the chest of the phantom as it lay on a day."""
    phantom = thorax(5, "small", nodules=False)
    voxels = phantom.voxels[::EVERY, ::EVERY, ::EVERY]
    affine = phantom.grid.affine_lps @ np.diag([EVERY, EVERY, EVERY, 1.0])
    affine[:3, 3] += shift_mm
    seed = int(study_uid.rpartition(".")[2])
    noise = np.random.default_rng(seed).normal(0.0, 15.0, voxels.shape)
    grid = Grid(voxels.shape, affine, f"{study_uid}.9")
    paths = write_series(np.round(voxels + noise).astype(np.int16), grid, folder / study_uid, seed=seed)
    for path in paths:
        image = pydicom.dcmread(path)
        image.StudyInstanceUID, image.SeriesInstanceUID = study_uid, f"{study_uid}.1"
        image.FrameOfReferenceUID = f"{study_uid}.9"
        image.PatientID, image.PatientName = PATIENT_ID, "Prior^Phantom"
        image.StudyDate, image.StudyTime = study_date, "101500"
        image.save_as(path)
    return paths


@pytest.fixture(scope="module")
def chests(tmp_path_factory: pytest.TempPathFactory) -> Chests:
    folder = tmp_path_factory.mktemp("chests")
    return Chests(
        now=examination(folder, NOW_UID, "20260601", (0.0, 0.0, 0.0)),
        before=examination(folder, BEFORE_UID, "20250601", SHIFT_MM),
    )


@pytest.fixture(scope="module")
def growth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine that measures the mean difference, without sign, of a chest CT and an earlier one."""
    shape = [1, 1, "k", "j", "i"]
    network = onnx_bytes(
        [
            node("Sub", ["a", "b"], ["d"]),
            node("Abs", ["d"], ["m"]),
            node("ReduceMean", ["m", "axes"], ["mean"], keepdims=0),
        ],
        [("a", shape), ("b", shape)],
        [("mean", [1, 1], TensorProto.FLOAT)],
        {"axes": np.array([2, 3, 4])},
    )
    keys = 'inputs = { a = ["ct"], b = ["before"] }\ninterpret = "regression"\n'
    body = step(keys=keys, gate="shapes = { a = [1, 1, 8, 8, 8], b = [1, 1, 8, 8, 8] }")
    body += f'[[output]]\nmeasurement = "mean"\nstep = "net"\ntype = {LESION}\nunit = {ONE}\n'
    folder = tmp_path_factory.mktemp("engines") / "growth"
    engine(folder, body, {"net.onnx": network}, CT + PRIOR)
    return folder


@contextlib.contextmanager
def archive_of(folder: Path, files: list[Path], **settings: object) -> Iterator[Orthanc]:
    folder.mkdir()
    with orthanc(folder, DicomAlwaysAllowMove=True, **settings) as server:
        assert push_study(server.peer, "SCANNER", files).sent == len(files)
        yield server


def by_dimse(server: Orthanc) -> list[str]:
    lines = ["[[query]]", 'name = "PACS1"', 'ae_title = "ORTHANC"', 'host = "127.0.0.1"']
    lines += [f"port = {server.peer.port}", "ask_after_s = 600"]
    return [*lines, "[[sender]]", 'ae_title = "ORTHANC"', 'address = "127.0.0.1"']


def let_move(server: Orthanc, node: Node) -> None:
    """Tell the archive where the node listens."""
    known = {"AET": "DICOMNODE", "Host": "127.0.0.1", "Port": node.port, "AllowGet": False}
    url = f"http://127.0.0.1:{server.http_port}/modalities/dicomnode"
    request = urllib.request.Request(url, json.dumps(known).encode(), method="PUT")
    urllib.request.urlopen(request, timeout=DEADLINE_S).close()


def why(node: Node, *more: str) -> str:
    command = [sys.executable, "-m", "dicomnode", "why", NOW_UID, "--config", str(node.config), *more]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def texts(content: bytes) -> list[str]:
    """All sentences of an SR."""
    report = pydicom.dcmread(io.BytesIO(content))
    assert report.SOPClassUID == ENHANCED_SR
    assert report.StudyInstanceUID == NOW_UID
    return [str(one.value) for one in report.iterall() if one.keyword == "TextValue"]


def by_web(server: Orthanc, folder: Path) -> list[str]:
    password = folder / "password"
    password.write_text(f"{PASSWORD}\n")
    password.chmod(0o600)
    url = f"http://127.0.0.1:{server.http_port}/dicom-web"
    lines = ["[[query]]", 'name = "PACS1"', f'url = "{url}"', 'user = "node"', "ask_after_s = 600"]
    return [*lines, f"password = {json.dumps(f'file:{password}')}"]


@contextlib.contextmanager
def site(folder: Path, growth: Path, more: list[str]) -> Iterator[tuple[Node, Scp]]:
    """A node that asks the archive, and one where its results go."""
    with (
        store_scp(contexts=RESULTS) as results,
        running_node(folder / "node", [growth], results.peer, more=more) as node,
    ):
        yield node, results


def check_compared(node: Node, results: Scp, now: list[Path]) -> None:
    """Push the current study: the SR that comes back, and `why`, say what it was compared with."""
    assert push_study(node.peer, "SCANNER", now).sent == len(now)
    assert node.wait_for(NOW_UID).state is StudyState.DONE
    (content,) = results.datasets.values()
    said = texts(content)
    which = (
        f"Input 'before' is of an earlier study (study {BEFORE_UID}, series {BEFORE_UID}.1, 365 days before)"
    )
    (compared,) = [one for one in said if one.startswith(which)]
    assert "laid over this one: rigid, forth and back within" in compared
    (measured,) = [one for one in said if one.startswith("Lesion: ")]
    assert float(measured.removeprefix("Lesion: ").rstrip(".")) < ALIKE_HU
    explained = why(node)
    assert f"365 days older: study {BEFORE_UID}" in explained
    assert [one["study_instance_uid"] for one in studies(node) if one["state"] == "refused"] == [BEFORE_UID]
    for secret in (PASSWORD, PATIENT_ID, "Prior^Phantom"):
        assert secret not in node.log.read_text()
        assert secret not in explained


def studies(node: Node) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "dicomnode", "studies", "--config", str(node.config), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[dict[str, object]] = json.loads(done.stdout)["studies"]
    return found


@pytest.mark.long
@pytest.mark.parametrize("way", ["C-GET", "C-MOVE"])
def test_a_prior_that_only_the_archive_has_is_fetched_laid_over_and_named(
    tmp_path: Path, growth: Path, chests: Chests, way: str
) -> None:
    with (
        archive_of(tmp_path / "o", chests.before, DicomAlwaysAllowGet=way == "C-GET") as server,
        site(tmp_path, growth, by_dimse(server)) as (node, results),
    ):
        let_move(server, node)
        check_compared(node, results, chests.now)


@pytest.mark.long
def test_a_prior_comes_from_a_web_archive_that_wants_a_login(
    tmp_path: Path, growth: Path, chests: Chests
) -> None:
    users = {"AuthenticationEnabled": True, "RegisteredUsers": {"node": PASSWORD}}
    web = {"Plugins": [str(dicomweb_plugin())], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with (
        archive_of(tmp_path / "o", chests.before, **users, **web) as server,
        site(tmp_path, growth, by_web(server, tmp_path)) as (node, results),
    ):
        check_compared(node, results, chests.now)


@pytest.mark.long
def test_a_login_that_cannot_be_read_is_a_reason_in_the_result_and_in_why(
    tmp_path: Path, growth: Path, chests: Chests
) -> None:
    lines = ["[[query]]", 'name = "PACS1"', 'url = "http://127.0.0.1:9/dicom-web"', "ask_after_s = 0.5"]
    none = tmp_path / "none"
    lines.append(f"token = {json.dumps(f'file:{none}')}")
    with site(tmp_path, growth, lines) as (node, results):
        assert push_study(node.peer, "SCANNER", chests.now).sent == len(chests.now)
        assert node.wait_for(NOW_UID).state is StudyState.DONE
        (content,) = results.datasets.values()
        wanted = f"The token that PACS1 wants cannot be read from {none.name}: no such file or directory"
        assert any(f"No prior for input 'before': {wanted}." in one for one in texts(content)), texts(content)
        assert not any(str(tmp_path) in one for one in texts(content))  # a result leaves the house
        assert wanted in why(node, "--json")
        assert [line["code"] for line in node.lines("source.silent")] == ["DN-2551"]
        (line,) = node.lines("priors.unanswered")
        assert str(none) in str(line)
