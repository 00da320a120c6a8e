"""The mode of an engine written into dicomnode.toml: one word changes, all else is a person's."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.faults import PROMOTE_UNKNOWN, SETTINGS_WRONG, NodeError
from dicomnode.settings import load_settings, write_modes

TEXT = """# our node
schema = 1

[[engine]]            # the old one
name = "old"
mode = "live"   # since March

[[engine]]
mode = 'shadow'       # a name may come later
note_is_not_mode = 1
name = "new"

[store]
path = "store"
[[sender]]
ae_title = "SCANNER"
[[destination]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
"""
REST = TEXT[TEXT.index("[store]") :]
TOML = TEXT.replace("note_is_not_mode = 1\n", "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "dicomnode.toml"
    path.write_text(TOML)
    return path


def modes(path: Path) -> dict[str, str]:
    return {one.name: one.mode for one in load_settings(path).engine}


def test_one_word_changes_and_comments_quotes_and_order_stay(path: Path) -> None:
    write_modes(path, {"new": "live"})
    assert path.read_text() == TOML.replace("'shadow'", "'live'")
    assert modes(path) == {"old": "live", "new": "live"}


def test_two_engines_change_places_in_one_write(path: Path) -> None:
    write_modes(path, {"new": "live", "old": "shadow"})
    assert modes(path) == {"old": "shadow", "new": "live"}
    assert "# since March" in path.read_text()


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (TOML, "other"),
        (TOML.replace("mode = 'shadow'       # a name may come later\n", ""), "new"),
        ('engine = [{ name = "new", mode = "shadow" }]\n' + TOML.partition("[[engine]]")[0] + REST, "new"),
    ],
    ids=["no such engine", "no mode", "an inline table"],
)
def test_what_does_not_stand_on_a_line_of_its_own_is_not_written(path: Path, given: str, wrong: str) -> None:
    path.write_text(given)
    with pytest.raises(NodeError) as caught:
        write_modes(path, {wrong: "live"})
    assert caught.value.fault is PROMOTE_UNKNOWN
    assert path.read_text() == given


def test_a_file_that_is_wrong_already_stays_as_it_is(path: Path) -> None:
    path.write_text(TEXT)
    with pytest.raises(NodeError) as caught:
        write_modes(path, {"new": "live"})
    assert caught.value.fault is SETTINGS_WRONG
    assert path.read_text() == TEXT


def test_rights_links_line_ends_and_the_mark_of_windows_stay(tmp_path: Path, path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + TOML.replace("\n", "\r\n").encode())
    path.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    write_modes(link, {"new": "live"})
    assert link.is_symlink()
    assert (
        path.read_bytes()
        == b"\xef\xbb\xbf" + TOML.replace("'shadow'", "'live'").replace("\n", "\r\n").encode()
    )
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(one.name for one in tmp_path.iterdir()) == ["dicomnode.toml", "link.toml"]
