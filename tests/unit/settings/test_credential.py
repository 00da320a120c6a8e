"""A secret is named in dicomnode.toml and read from the folder that systemd gives."""

from __future__ import annotations

import pytest

from dicomnode.settings import read_credential, read_settings


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
