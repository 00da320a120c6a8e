"""A secret is named in dicomnode.toml and read from the folder that systemd gives."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from dicomnode.settings import read_credential, read_secret, read_settings


def test_a_credential_is_the_content_of_its_file(tmp_path, monkeypatch):
    (tmp_path / "plan-key").write_bytes(b"\x00secret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_credential("credential:plan-key") == b"\x00secret\n"


@pytest.mark.parametrize("text", ["plan-key", "credential:", "credential:a/b", "credential:..", "", "file:x"])
def test_what_names_no_credential_is_said(text, monkeypatch, tmp_path):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(ValueError, match="is not of the form credential:NAME"):
        read_credential(text)


def test_without_systemd_there_are_none(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(OSError, match="CREDENTIALS_DIRECTORY is not set"):
        read_credential("credential:plan-key")


@pytest.mark.parametrize(
    ("value", "right"), [("", True), ("credential:plan-key", True), ("credential:", False), ("secret", False)]
)
def test_the_key_of_the_plans_is_a_credential_or_nothing(tmp_path, value, right):
    text = f'[store]\nplan_key = "{value}"\n'
    _, problems = read_settings(tmp_path / "dicomnode.toml", text)
    assert any(problem.key == "store.plan_key" for problem in problems) is not right


def secret_file(folder: Path, content: bytes = b"hunter2\n", mode: int = 0o600) -> Path:
    path = folder / "password"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
@pytest.mark.parametrize(
    ("content", "text"),
    [(b"hunter2\n", "hunter2"), (b" two words \r\n", " two words "), ("päss".encode(), "päss")],
)
def test_a_secret_is_the_text_of_a_file_that_others_cannot_read(tmp_path, content, text, mode):
    assert read_secret(f"file:{secret_file(tmp_path, content, mode)}") == text


def test_a_secret_of_systemd_is_read_from_its_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    secret_file(tmp_path)
    assert read_secret("credential:password") == "hunter2"


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (b"hunter2", 0o644, "mode is 0644"),
        (b"hunter2", 0o620, "mode is 0620"),
        (b"hunter2", 0o604, "mode is 0604"),
        (b"\n", 0o600, "empty"),
        (b"hunter2\nhunter2", 0o600, "more than one line"),
        (b"hunter2\x00", 0o600, "control characters"),
        (b"hunter2\xff", 0o600, "no UTF-8"),
        (b"hunter2" * 10_000, 0o600, "more than 65536"),
    ],
)
def test_a_secret_that_is_none_or_open_to_others_is_refused_and_not_repeated(tmp_path, content, mode, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        read_secret(f"file:{secret_file(tmp_path, content, mode)}")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_what_is_no_file_is_no_secret(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_secret(f"file:{tmp_path / 'nowhere'}")
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ValueError, match="no regular file"):
            read_secret(f"file:{path}")
