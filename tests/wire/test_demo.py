"""`dicomnode demo` as a new user runs it, with what is installed here and without."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dicomnode.deliver import push_study
from tests.wire.peers import orthanc, program, until

pytestmark = [pytest.mark.wire, pytest.mark.slow]


def _demo(out: Path, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dicomnode", "demo", "--out", str(out), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
        start_new_session=True,
    )


def _processes_of(folder: Path) -> list[str]:
    """Command lines, but this one's, that name the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and entry.parent.name != str(os.getpid()):
            found.append(line)
    return found


def _document(out: Path, *arguments: str, **environ: str) -> dict:
    process = _demo(out, "--json", *arguments, **environ)
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr
    assert _processes_of(out) == []
    return json.loads(stdout)


@pytest.mark.long
def test_the_demonstration_delivers_into_orthanc_and_finds_the_planted_nodules(tmp_path):
    program("Orthanc")
    document = _document(tmp_path / "out", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert document["state"] == "done"
    assert document["archive"].startswith("Orthanc")
    assert document["archive_copies_equal"]
    assert {made["kind"] for made in document["objects"]} == {"SEG", "SR"}
    assert all(Path(made["path"]).exists() for made in document["objects"])
    truth_path = next((tmp_path / "cache").rglob("truth.json"))
    truth = json.loads(truth_path.read_text())["nodules"]
    found = [f["centre_lps_mm"] for f in document["findings"] if f["kind"] == "lesion"]
    for nodule in truth:
        away = [
            sum((a - b) ** 2 for a, b in zip(nodule["centre_lps_mm"], c, strict=True)) ** 0.5 for c in found
        ]
        assert min(away) < max(nodule["diameter_mm"] / 2, 3.0)
    assert len(found) <= len(truth) + 1
    assert all(Path(picture).stat().st_size > 10_000 for picture in document["pictures"])
    assert set(document["timings_s"]) >= {"receive", "analyse", "report", "deliver"}


@pytest.mark.long
def test_the_demonstration_delivers_to_an_archive_that_is_named_and_already_holds_the_images(
    tmp_path, small_phantom
):
    (tmp_path / "orthanc").mkdir()
    with orthanc(tmp_path / "orthanc") as archive:
        push_study(archive.peer, "SCANNER", small_phantom.files)
        address = f"{archive.peer.ae_title}@127.0.0.1:{archive.peer.port}"
        document = _document(tmp_path / "out", "--study", str(small_phantom.folder), "--archive", address)
        assert document["state"] == "done"
        assert document["archive_copies_equal"]
        assert len(archive.files()) == len(small_phantom.files) + 2


@pytest.mark.long
def test_without_orthanc_and_dcmtk_a_plain_storage_scp_and_our_own_sender_stand_in(tmp_path, small_phantom):
    code = (
        "import shutil, sys; shutil.which = lambda *a, **k: None\n"
        "from dicomnode.cli import main; main(sys.argv[1:])"
    )
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--study", str(small_phantom.folder), "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "a plain Storage SCP" in done.stdout
    assert "pushed with dicomnode" in done.stdout
    assert "2 of 2 objects equal what was sent" in done.stdout
    assert _processes_of(out) == []


@pytest.mark.parametrize(
    ("ending", "code"),
    [(signal.SIGINT, 130), (signal.SIGHUP, 130), (signal.SIGKILL, -signal.SIGKILL)],
    ids=["Ctrl-C", "the terminal is closed", "killed"],
)
def test_a_demonstration_that_is_ended_leaves_nothing_running(tmp_path, small_phantom, ending, code):
    out = tmp_path / "out"
    process = _demo(out, "--study", str(small_phantom.folder))
    until(lambda: len(_processes_of(out / "node")) >= 4, "the node and its children run", 60)
    time.sleep(0.5)
    os.killpg(process.pid, ending)
    if ending == signal.SIGINT:
        time.sleep(0.2)
        os.killpg(process.pid, ending)  # an impatient user
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code, stderr
    assert "Traceback" not in stderr
    until(lambda: _processes_of(out) == [], "all processes have ended", 10)


def test_a_second_demonstration_leaves_nothing_of_the_first_and_touches_nothing_else(tmp_path):
    from dicomnode.cli.demo import _work_folder
    from dicomnode.faults import USAGE, NodeError

    out = tmp_path / "out"
    _work_folder(out)
    (out / "dicom").mkdir()
    (out / "dicom" / "2.25.1.dcm").write_bytes(b"old")
    (out / "overlay-lung-ct-nodule-9.png").write_bytes(b"old")
    (out / "notes.txt").write_text("mine")
    _work_folder(out)
    assert sorted(path.name for path in out.iterdir()) == ["node", "notes.txt"]
    other = tmp_path / "other"
    (other / "node").mkdir(parents=True)
    (other / "node" / "thesis.txt").write_text("mine")
    with pytest.raises(NodeError) as caught:
        _work_folder(other)
    assert caught.value.fault is USAGE
    assert (other / "node" / "thesis.txt").exists()
