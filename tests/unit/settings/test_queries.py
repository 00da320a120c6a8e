"""[[query]]: a peer is named in one way, a login is whole and not heard, and no secret is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.settings import Problem, Settings, read_settings

_FILE = Path("/etc/dicomnode/dicomnode.toml")
_REST = """
[[sender]]
ae_title = "CT1"
[[destination]]
name = "archive"
ae_title = "PACS"
host = "pacs.example"
[[engine]]
name = "lung-ct"
"""
_SECRET = "hunter2"
_WEB = 'url = "https://pacs.example/dicom-web"'
_LOGIN = 'user = "node"\npassword = "file:/etc/dicomnode/pacs.password"'


def read(query: str) -> tuple[Settings | None, list[Problem]]:
    return read_settings(_FILE, f'{_REST}[[query]]\nname = "pacs"\n{query}\n')


@pytest.mark.parametrize(
    "query",
    [
        'ae_title = "PACS"\nhost = "pacs.example"',
        _WEB,
        f"{_WEB}\n{_LOGIN}",
        f'{_WEB}\ntoken = "credential:pacs-token"\nca_file = "ca.pem"',
        f'{_WEB}\ncertificate = "node.pem"\ncertificate_key = "node.key"',
        f'url = "http://127.0.0.1:8042/dicom-web"\n{_LOGIN}',
        f'url = "http://[::1]:8042/dicom-web"\n{_LOGIN}',
        f'url = "http://localhost:8042/dicom-web"\n{_LOGIN}',
    ],
)
def test_a_peer_is_named_in_one_way_with_a_whole_login_or_none(query: str) -> None:
    settings, problems = read(query)
    assert problems == []
    assert settings is not None


@pytest.mark.parametrize(
    ("query", "key", "expected"),
    [
        ('ae_title = "PACS"', "host", "a value, or a url"),
        (f'{_WEB}\nhost = "pacs.example"', "host", "nothing beside a url"),
        ('ae_title = "PACS"\nhost = "h"\nuser = "u"', "user", "nothing without a url"),
        ('ae_title = "PACS"\nhost = "h"\nca_file = "ca.pem"', "ca_file", "nothing without a url"),
        (f'{_WEB}\nuser = "node"', "password", "user and password, or neither"),
        (f'{_WEB}\npassword = "credential:x"', "user", "user and password, or neither"),
        (f'{_WEB}\n{_LOGIN}\ntoken = "credential:x"', "token", "one login is enough"),
        (f'{_WEB}\nuser = "no:de"\npassword = "credential:x"', "user", "without colon"),
        (f'{_WEB}\ncertificate_key = "node.key"', "certificate", "the certificate of that key"),
        (f'url = "http://pacs.example"\n{_LOGIN}', "url", "https:// where there is a login"),
        ('url = "http://10.0.0.7"\ntoken = "credential:x"', "url", "https:// where there is a login"),
        ('url = "http://pacs.example"\nca_file = "ca.pem"', "ca_file", "unless url begins with https://"),
        (f'{_WEB}\nuser = "node"\npassword = "file:pacs.password"', "password", "the whole path"),
    ],
)
def test_what_is_wrong_with_a_peer_is_said(query: str, key: str, expected: str) -> None:
    _, problems = read(query)
    assert [(one.key, expected in one.expected) for one in problems if one.key == f"query[1].{key}"] == [
        (f"query[1].{key}", True)
    ]


@pytest.mark.parametrize(
    "query",
    [
        f'{_WEB}\nuser = "node"\npassword = "{_SECRET}"',
        f'{_WEB}\nuser = "node"\npassword = ["{_SECRET}"]',
        f'{_WEB}\ntoken = "{_SECRET}"',
        f'{_WEB}\npasswort = "{_SECRET}"',
        f'{_WEB}\nBearerToken = "{_SECRET}"',
        f'url = "https://node:{_SECRET}@pacs.example"',
        f'url = "https://pacs.example"\npassword = {_SECRET}',
        f"extra = {{ password = {_SECRET} }}",
        f'password = "{_SECRET}',
        f'{_WEB}\npass = "{_SECRET}"',
        f'{_WEB}\napikey = "{_SECRET}"',
        f'{_WEB}\npass = "{_SECRET}',
        f'{_WEB}\nheaders = ["Authorization: Bearer {_SECRET}"',
        f'{_WEB}\npassword "{_SECRET}"',
        f'url = "https://node:{_SECRET}@pacs.example?apikey={_SECRET}"',
        f'url = "https://pacs.example/?apikey={_SECRET}"',
        f'url = ["https://pacs.example/?apikey={_SECRET}"]',
    ],
)
def test_a_secret_in_the_file_itself_is_refused_and_never_shown(query: str) -> None:
    _, problems = read(query)
    assert problems
    shown = "\n".join(f"{one} {one!r} {one.found}" for one in problems)
    assert _SECRET not in shown
    assert "…" in shown


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (f'"Bearer {_SECRET}"', "a text"),
        (f'["Authorization: Bearer {_SECRET}"]', "a list"),
        (f'{{ Authorization = "{_SECRET}" }}', "a table"),
        ("4711", "a number"),
        ("47.11", "a number"),
        ("true", "true or false"),
        ("1947-11-01", "a date or time"),
    ],
)
def test_of_an_unknown_key_only_the_kind_of_its_value_is_shown(value: str, kind: str) -> None:
    _, (problem,) = read(f"{_WEB}\nheaders = {value}")
    assert (problem.key, problem.found) == ("query[1].headers", kind)
    assert problem.hint
    assert _SECRET not in f"{problem} {problem!r}"


def test_where_the_key_of_a_certificate_stands_is_shown() -> None:
    _, problems = read(f'{_WEB}\ncertificate_key = ["node.key"]')
    assert [one.found for one in problems if one.key.endswith("certificate_key")] == ['["node.key"]']


def test_an_address_that_is_wrong_is_told_once_and_not_taken_for_none() -> None:
    _, problems = read(f'url = "ftp://pacs.example"\n{_LOGIN}')
    assert [one.key for one in problems] == ["query[1].url"]


def test_a_number_as_a_password_is_not_shown_either() -> None:
    _, problems = read(f'{_WEB}\nuser = "node"\npassword = 4711')
    assert "4711" not in "\n".join(f"{one} {one!r}" for one in problems)


def test_where_a_secret_stands_is_shown() -> None:
    _, problems = read('ae_title = "PACS"\nhost = "h"\npassword = "file:/etc/dicomnode/x"')
    assert [one.found for one in problems] == ['"file:/etc/dicomnode/x"']
