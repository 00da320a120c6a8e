"""[[destination]]: one place each, kinds that go together, and what cannot be had there."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.settings import DestinationSettings, Problem, Settings, read_settings

_FILE = Path("/etc/dicomnode/dicomnode.toml")
_REST = '[[sender]]\nae_title = "CT1"\n[[engine]]\nname = "lung-ct"\n'
_DIMSE = 'ae_title = "PACS"\nhost = "pacs.example"'
_WEB = 'url = "https://pacs.example/dicom-web"'
_FOLDER = 'folder = "/srv/results"'
_BACK = "to_sender = true"
_LOGIN = 'user = "node"\npassword = "file:/etc/dicomnode/pacs.password"'


def read(table: str, name: str = "pacs") -> tuple[Settings | None, list[Problem]]:
    return read_settings(_FILE, f'{_REST}[[destination]]\nname = "{name}"\n{table}\n')


def good(table: str) -> DestinationSettings:
    settings, problems = read(table)
    assert problems == []
    assert settings is not None
    return settings.destination[0]


@pytest.mark.parametrize(
    "table",
    [
        _DIMSE,
        f"{_DIMSE}\ntls = true",
        f'{_DIMSE}\ntls = true\nca_file = "ca.pem"\ncertificate = "node.pem"\ncertificate_key = "node.key"',
        _WEB,
        f"{_WEB}\n{_LOGIN}",
        f'{_WEB}\ntoken = "credential:pacs-token"\nca_file = "ca.pem"',
        f'{_WEB}\ncertificate = "node.pem"',
        f'url = "http://localhost:8042/dicom-web"\n{_LOGIN}',
        _FOLDER,
        f'{_FOLDER}\nconfirm = "status"',
        f'{_WEB}\nconfirm = "query"',
        _BACK,
        f"{_BACK}\nport = 11112",
        f'{_BACK}\ntls = true\nca_file = "ca.pem"',
        f'{_DIMSE}\nobjects = ["SEG", "LABELMAP", "SR", "GSPS", "SC", "PM"]',
        f'{_DIMSE}\nobjects = ["RTSTRUCT", "PDF", "KOS", "IMAGES"]',
        f'{_DIMSE}\nhours = "19:00-06:30"\nrate_mb_s = 0.5\nhold = true\nfallback = false',
        f'{_DIMSE}\nhours = "00:00-23:59"',
        f'{_DIMSE}\nhost = "localhost"\nport = 4242'.replace('host = "pacs.example"\n', ""),
    ],
)
def test_a_destination_is_one_place(table: str) -> None:
    good(table)


def test_what_is_not_said_has_its_default() -> None:
    entry = good(_DIMSE)
    assert (entry.port, entry.objects, entry.confirm, entry.fallback) == (104, ("SEG", "SR"), "auto", True)
    assert (entry.hours, entry.rate_mb_s, entry.hold, entry.tls, entry.to_sender) == (
        "",
        0.0,
        False,
        False,
        False,
    )


def test_a_folder_is_relative_to_the_file() -> None:
    assert good('folder = "results"').folder == Path("/etc/dicomnode/results")


@pytest.mark.parametrize(
    ("table", "key", "expected"),
    [
        ("", "ae_title", "a value (ae_title and host of an archive, a url, a folder, or to_sender)"),
        ("", "host", "a value"),
        ('ae_title = "PACS"', "host", "a value"),
        ('host = "pacs.example"', "ae_title", "a value"),
        (f'{_WEB}\nae_title = "PACS"', "ae_title", "nothing beside url"),
        (f'{_WEB}\nhost = "pacs.example"', "host", "nothing beside url"),
        (f'{_FOLDER}\nhost = "pacs.example"', "host", "nothing beside folder"),
        (f'{_BACK}\nae_title = "PACS"', "ae_title", "nothing beside to_sender"),
        (f"{_WEB}\n{_FOLDER}", "folder", "nothing beside url"),
        (f"{_WEB}\n{_BACK}", "to_sender", "nothing beside url"),
        (f"{_FOLDER}\n{_BACK}", "to_sender", "nothing beside folder"),
        (f"{_WEB}\ntls = true", "tls", "nothing beside url"),
        (f"{_FOLDER}\ntls = true", "tls", "nothing beside folder"),
        (f"{_DIMSE}\n{_LOGIN}", "user", "nothing without a url"),
        (f"{_DIMSE}\ntls = true\n{_LOGIN}", "user", "nothing without a url"),
        (f'{_DIMSE}\nca_file = "ca.pem"', "ca_file", "nothing without a url"),
        (f'{_DIMSE}\ntls = true\ncertificate_key = "node.key"', "certificate", "the certificate of that key"),
        (f'{_FOLDER}\ntoken = "credential:x"', "token", "nothing without a url"),
        (f'{_WEB}\nuser = "node"', "password", "user and password, or neither"),
        (f'{_WEB}\n{_LOGIN}\ntoken = "credential:x"', "token", "one login is enough"),
        (f'url = "http://pacs.example"\n{_LOGIN}', "url", "https:// where there is a login"),
        ('url = "pacs.example"', "url", "http:// or https://"),
        (f"{_DIMSE}\nobjects = []", "objects", "at least one kind"),
        (f'{_DIMSE}\nobjects = ["SR", "LABELMAP"]', "objects", "SEG beside LABELMAP"),
        (f'{_DIMSE}\nobjects = ["KO"]', "objects[1]", ""),
        (f'{_FOLDER}\nconfirm = "query"', "confirm", '"auto" or "status"'),
        (f'{_FOLDER}\nconfirm = "commitment"', "confirm", '"auto" or "status"'),
        (f'{_WEB}\nconfirm = "commitment"', "confirm", '"auto", "query" or "status"'),
        (f'{_DIMSE}\nhours = "19-06"', "hours", "two different times of day"),
        (f'{_DIMSE}\nhours = "24:00-06:00"', "hours", "two different times of day"),
        (f'{_DIMSE}\nhours = "06:00-06:00"', "hours", "two different times of day"),
        (f"{_DIMSE}\nrate_mb_s = -1", "rate_mb_s", "0 or more"),
        (
            f"{_DIMSE}\nretry_first_s = 60\nretry_longest_s = 30",
            "retry_longest_s",
            "retry_first_s (60) or more",
        ),
        ('ae_title = "PACS"\nhost = "127.0.0.1"\nport = 11112', "port", "another node than this one"),
    ],
)
def test_what_is_wrong_with_a_destination_is_said(table: str, key: str, expected: str) -> None:
    _, problems = read(table)
    found = [one for one in problems if one.key == f"destination[1].{key}"]
    assert len(found) == 1, problems
    assert expected in found[0].expected


def test_a_key_whose_value_is_wrong_is_told_of_once() -> None:
    for table in ('url = "pacs"', "folder = 5", 'ae_title = ""\nhost = "h"'):
        _, problems = read(table)
        assert len(problems) == 1, problems


def test_names_are_given_once() -> None:
    _, problems = read_settings(
        _FILE, f'{_REST}[[destination]]\nname = "a"\n{_DIMSE}\n[[destination]]\nname = "a"\n{_WEB}\n'
    )
    assert [one.key for one in problems] == ["destination[2].name"]
