"""load_settings and read_settings: the whole file."""

# ruff: noqa: E501  tables stay on a line

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from dicomnode.faults import EXIT_CONFIGURATION, NodeError
from dicomnode.settings import Problem, Settings, load_settings, read_settings

_FILE = Path("/etc/dicomnode/dicomnode.toml")

_GOOD = """\
schema = 1
[[sender]]
ae_title = "CT1"
[[destination]]
name = "archive"
ae_title = "PACS"
host = "pacs.example"
[[engine]]
name = "lung-ct"
"""


def problems_of(text: str) -> list[Problem]:
    settings, problems = read_settings(_FILE, text)
    assert settings is None
    return problems


def test_a_short_file_is_enough_and_all_else_has_its_default() -> None:
    settings, problems = read_settings(_FILE, _GOOD)
    assert problems == []
    assert settings is not None
    assert settings.node.ae_title == "DICOMNODE"
    assert settings.receive == Settings().receive
    assert [entry.name for entry in settings.destination] == ["archive"]
    assert settings.journal_url == "sqlite:////var/lib/dicomnode/journal.sqlite"


def test_paths_are_relative_to_the_file() -> None:
    settings, _ = read_settings(_FILE, _GOOD + 'path = "../engines/x"\n[store]\npath = "store"\n')
    assert settings is not None
    assert settings.store.path == Path("/etc/dicomnode/store")
    assert settings.engine[0].path == Path("/etc/dicomnode/../engines/x")


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ("[receive]\nport = 0\naddress = 'nowhere'", ("receive.address", 12)),
        ("[[sender]]\nae_title = 'B'\naddress = '10.1.2.0/33'", ("sender[2].address", 12)),
        ("[[sender]]\nae_title = 'B'\naddress = 'ct.hospital'", ("sender[2].address", 12)),
        ("[[sender]]\nae_title = 'CT1 '", ("sender[2].ae_title", 11)),
        ("[[engine]]\nname = 'lung-ct'\nmode = 'shadow'", ("engine[2].name", 11)),
        ("[[destination]]\nname = 'archive'\nae_title = 'X'\nhost = 'y'", ("destination[2].name", 11)),
        ("[[destination]]\nname='b'\nae_title='X'\nhost='localhost'\nport=11112", ("destination[2].port", 14)),
        ("[[destination]]\nname='b'\nae_title='X'\nhost='y'\nretry_longest_s = 1", ("destination[2].retry_longest_s", 14)),
        ("[[destination]]\nname='b'\nae_title='X'\nhost='y'\nobjects = []", ("destination[2].objects", 14)),
        ("[journal]\nurl = '/var/lib/journal'", ("journal.url", 11)),
        ("[receive]\nstorage_classes = ['1.2.3', 'CTImageStorag']", ("receive.storage_classes[2]", 11)),
        ("[receive]\nstorage_classes = ['Verification']", ("receive.storage_classes[1]", 11)),
        ("[assemble]\nquiet_time = 5", ("assemble.quiet_time", 11)),
        ("[[query]]\nname = 'pacs'\nae_title = 'PACS'", ("query[1].host", 10)),
        ("[[query]]\nname = 'pacs'\nae_title = 'P'\nurl = 'https://pacs'", ("query[1].ae_title", 12)),
        ("[[query]]\nname = 'pacs'\nae_title = 'P'\nhost = 'p'\nurl = 'https://p/?x'", ("query[1].url", 14)),
        ("[[query]]\nname = 'pacs'\nurl = 'https://pacs'\nsenders = ['']", ("query[1].senders[1]", 13)),
        ("[[query]]\nname='a'\nurl='http://p'\n[[query]]\nname='a'\nurl='http://p'", ("query[2].name", 14)),
        ("[[expect]]\nname = 'a'\nmodalities = []", ("expect[1].modalities", 12)),
        ("[analyse]\ndevices = ['cpu', '0']", ("analyse.devices", 11)),
        ("[analyse]\ndevices = ['auto', 'cpu']", ("analyse.devices", 11)),
        ("[analyse]\ndevices = []", ("analyse.devices", 11)),
        ("[analyse]\ndevices = ['GPU-1', 'GPU-1']", ("analyse.devices", 11)),
        ("[analyse]\nruntime = 'triton'", ("analyse.runtime", 11)),
        ("[analyse.triton]\nurl = 'gpu-farm:8000'", ("analyse.triton.url", 11)),
        ("[analyse.triton]\nurl = 'http://gpu-farm:http'", ("analyse.triton.url", 11)),
        ("[analyse.triton]\nurl = 'http://user@gpu-farm/v2'", ("analyse.triton.url", 11)),
        ("[analyse.triton]\nurls = 'http://gpu-farm'", ("analyse.triton.urls", 11)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_does_not_fit_together_is_found_with_its_line(more: str, place: tuple[str, int]) -> None:
    problems = problems_of(_GOOD + more)
    assert [(p.key, p.line) for p in problems] == [place]
    assert problems[0].file == str(_FILE)


def test_an_inference_server_and_devices_are_named_in_their_section() -> None:
    more = (
        "runtime = 'triton'\n[analyse]\ndevices = ['GPU-1', 'MIG-2', 'cpu', 'cpu']\n"
        "[analyse.triton]\nurl = 'https://gpu-farm:8001'\nca_file = 'farm.pem'\ntimeout_s = 5"
    )
    settings, problems = read_settings(_FILE, _GOOD + more)
    assert problems == []
    assert settings is not None
    assert settings.analyse.devices == ("GPU-1", "MIG-2", "cpu", "cpu")
    assert settings.analyse.triton.ca_file == Path("/etc/dicomnode/farm.pem")
    assert settings.engine[0].runtime == "triton"


def test_networks_of_either_family_and_known_keywords_are_right() -> None:
    more = (
        "[[sender]]\nae_title = 'A'\naddress = '10.1.2.0/24'\n[[sender]]\nae_title = 'A'\naddress = '2001:db8::/32'\n"
        "[[sender]]\nae_title = 'B'\naddress = '10.1.2.3'\n"
        "[receive]\nstorage_classes = ['1.2.840.10008.5.1.4.1.1.5', 'HangingProtocolStorage']\n"
    )
    settings, problems = read_settings(_FILE, _GOOD + more)
    assert problems == []
    assert settings is not None


def test_sections_without_which_nothing_works_are_asked_for() -> None:
    assert [p.key for p in problems_of("")] == ["engine", "destination", "sender"]
    text = _GOOD.replace('[[sender]]\nae_title = "CT1"\n', '[receive]\nunknown_senders = "accept"\n')
    assert read_settings(_FILE, text)[1] == []


def test_a_wrong_entry_does_not_pass_for_a_missing_section() -> None:
    problems = problems_of(_GOOD.replace('"lung-ct"', '"lung ct"').replace('"PACS"', '""'))
    assert [p.key for p in problems] == ["destination[1].ae_title", "engine[1].name"]


def test_a_key_of_another_section_is_pointed_there() -> None:
    (problem,) = problems_of(_GOOD + "[receive]\nquiet_time_s = 5\n")
    assert problem.hint == "It is a key of [assemble]."
    (problem,) = problems_of(_GOOD + "[receive]\nretry_first_s = 5\n")
    assert problem.hint == "It is a key of [[destination]]."


@pytest.mark.parametrize(
    ("text", "line"),
    [("[receive\nport = 1", 1), ("schema = 1\nport 2", 2), ("a = 1\na = 2\n", 2), ('a = "b', None)],
)
def test_what_is_not_toml_is_one_problem_with_its_line(text: str, line: int | None) -> None:
    (problem,) = problems_of(text)
    assert (problem.expected, problem.line) == ("TOML", line)
    assert problem.hint
    assert "at line" not in problem.hint
    assert problem.key == "file"
    assert problem.value in text


def test_load_gives_the_settings_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "dicomnode.toml"
    path.write_text(_GOOD, encoding="utf-8")
    assert load_settings(path).engine[0].name == "lung-ct"


def test_load_of_a_wrong_file_carries_all_problems_even_across_processes(tmp_path: Path) -> None:
    path = tmp_path / "dicomnode.toml"
    path.write_text("schema = 2\n", encoding="utf-8")
    with pytest.raises(NodeError) as caught:
        load_settings(path)
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.fault.exit_code == EXIT_CONFIGURATION
    assert [p.key for p in error.values["problems"]] == ["engine", "destination", "sender", "schema"]


def test_load_of_no_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NodeError) as caught:
        load_settings(tmp_path / "none.toml")
    assert caught.value.fault.code == "DN-9002"
    assert "dicomnode init" in caught.value.remedy


def test_a_file_in_another_encoding_is_one_problem_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "dicomnode.toml"
    path.write_bytes("schema = 1\n# Gerät\n".encode("latin-1"))
    settings, (problem,) = read_settings(path)
    assert settings is None
    assert (problem.key, problem.expected, problem.line) == ("file", "UTF-8 text", 2)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "dicomnode.toml"
    path.write_text(_GOOD, encoding="utf-8-sig")
    assert load_settings(path).engine[0].name == "lung-ct"


def test_a_folder_in_place_of_the_file_is_a_problem_in_words(tmp_path: Path) -> None:
    settings, (problem,) = read_settings(tmp_path)
    assert settings is None
    assert (problem.key, problem.value) == ("file", "a folder")
    with pytest.raises(NodeError) as caught:
        load_settings(tmp_path)
    assert caught.value.fault.exit_code == EXIT_CONFIGURATION
