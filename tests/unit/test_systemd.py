"""What lies in systemd/ is right and up to date."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dicomnode.faults import EXIT_CONFIGURATION
from dicomnode.settings import read_settings, template

FOLDER = Path(__file__).parent.parent.parent / "systemd"


def test_the_example_configuration_is_the_one_that_init_writes():
    assert (FOLDER / "dicomnode.toml").read_text(encoding="utf-8") == template()


def test_the_example_configuration_has_no_problem():
    settings, problems = read_settings(FOLDER / "dicomnode.toml")
    assert problems == []
    assert settings is not None


def test_a_wrong_configuration_is_not_started_again_and_again():
    unit = (FOLDER / "dicomnode.service").read_text(encoding="utf-8")
    assert f"RestartPreventExitStatus={EXIT_CONFIGURATION}" in unit


@pytest.fixture
def analyze() -> str:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed")
    return tool


def test_the_unit_has_no_line_that_systemd_does_not_understand(analyze):
    done = subprocess.run(
        [analyze, "verify", str(FOLDER / "dicomnode.service")], capture_output=True, text=True, check=False
    )
    # the program is installed elsewhere than here
    others = [line for line in done.stderr.splitlines() if "is not executable" not in line and line.strip()]
    assert others == []


def test_the_unit_is_as_hardened_as_the_readme_says(analyze):
    done = subprocess.run(
        [analyze, "security", "--offline=yes", "--threshold=15", str(FOLDER / "dicomnode.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_drop_in_for_gpus_has_no_line_that_systemd_does_not_understand(analyze, tmp_path):
    shutil.copy(FOLDER / "dicomnode.service", tmp_path)
    (tmp_path / "dicomnode.service.d").mkdir()
    drop_in = shutil.copy(FOLDER / "gpu.conf", tmp_path / "dicomnode.service.d")

    def complaints() -> list[str]:
        done = subprocess.run(
            [analyze, "verify", str(tmp_path / "dicomnode.service")],
            capture_output=True,
            text=True,
            check=False,
        )
        return [line for line in done.stderr.splitlines() if "gpu.conf" in line]

    assert complaints() == []
    Path(drop_in).write_text("[Service]\nDeviceAllowed=char-nvidia* rw\n", encoding="utf-8")
    assert complaints(), "the drop-in was not read"


def test_the_service_alone_sees_no_device_and_the_drop_in_lets_in_those_of_nvidia_only():
    unit = (FOLDER / "dicomnode.service").read_text(encoding="utf-8").splitlines()
    drop_in = (FOLDER / "gpu.conf").read_text(encoding="utf-8").splitlines()
    assert "PrivateDevices=yes" in unit
    assert [line for line in drop_in if line.startswith("DeviceAllow=")] == ["DeviceAllow=char-nvidia* rw"]
    assert "DevicePolicy=closed" in drop_in


def test_no_runtime_reports_to_anybody_from_the_service():
    unit = (FOLDER / "dicomnode.service").read_text(encoding="utf-8")
    (environment,) = [line for line in unit.splitlines() if line.startswith("Environment=")]
    assert "ORT_DISABLE_TELEMETRY=1" in environment.split()
