"""What a start does with what the last run left."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.faults import OBJECT_CONFLICT, NodeError
from dicomnode.store import Recovery, Store, read_ids
from tests.unit.store.part10 import NOON, behind_preamble, receive


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Store.open(tmp_path / "store").close()
    return tmp_path / "store"


def left_over(root: Path, count: int = 1) -> list[Path]:
    """Sealed files as a power cut may leave them: under the names they were written with."""
    with Store.open(root) as store:
        sealed = [receive(store, behind_preamble(f"1.2.{n}")) for n in range(count)]
    names = [file.path.with_name(f"{file.path.stem.rsplit('Z-')[1]}.part") for file in sealed]
    for file, name in zip(sealed, names, strict=True):
        file.path.rename(name)
    return names


def recover(root: Path) -> Recovery:
    with Store.open(root, exclusive=True) as store:
        return store.recover()


def test_there_is_nothing_to_do_after_a_clean_stop(root: Path) -> None:
    with Store.open(root) as store:
        receive(store, behind_preamble())
        before = store.sealed()
    assert recover(root) == Recovery(sealed=1)
    with Store.open(root) as store:
        assert store.sealed() == before


def test_a_whole_file_under_its_first_name_gets_its_own_name_again(root: Path) -> None:
    left_over(root, 2)
    assert recover(root) == Recovery(sealed=2)
    with Store.open(root) as store:
        waiting = store.sealed()
    assert [read_ids(file.path).sop_instance_uid for file in waiting] == ["1.2.0", "1.2.1"]
    assert {file.received_at for file in waiting} == {NOON}
    assert recover(root) == Recovery(sealed=2)


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-1],
        lambda b: b[:128],
        lambda b: bytes(128) + b[128:],
        lambda b: b[:200] + bytes(100) + b[300:],
    ],
    ids=["cut", "only the seal", "no seal", "a hole"],
)
def test_a_torn_file_is_quarantined_and_never_enters_a_study(root: Path, damage) -> None:
    (path,) = left_over(root)
    path.write_bytes(damage(path.read_bytes()))
    recovery = recover(root)
    assert recovery.sealed == 0
    assert [found.parent for found in recovery.torn] == [root / "quarantine" / "torn"]
    assert recovery.damaged == ()
    assert list((root / "incoming").iterdir()) == []


def test_an_acknowledged_file_that_the_disk_has_changed_is_quarantined_as_damaged(root: Path) -> None:
    with Store.open(root) as store:
        sealed = receive(store, behind_preamble())
    content = bytearray(sealed.path.read_bytes())
    content[-1] ^= 1
    sealed.path.write_bytes(content)
    recovery = recover(root)
    assert recovery.torn == ()
    assert [path.parent.name for path in recovery.damaged] == ["damaged"]


def test_names_that_were_not_used_and_half_written_files_are_removed(root: Path) -> None:
    (root / "incoming" / "abc-00000000.part").touch()
    for folder in (".", "findings", "outbox"):
        (root / folder / ".something.123.tmp").write_text("half")
    for folder in ("history", "studies"):
        (root / folder / "abc").mkdir()
        (root / folder / "abc" / ".something.tmp").write_text("half")
    (root / "notices" / ".something.tmp").write_text("half")
    (root / "incoming" / "notes.txt").write_text("a person's")
    assert recover(root) == Recovery(sealed=0)
    left = sorted(path.name for path in root.rglob("*") if path.is_file())
    assert left == ["lock", "notes.txt", "store.json"]


def test_quarantine_keeps_the_reason_and_overwrites_nothing(root: Path) -> None:
    with Store.open(root) as store:
        paths = []
        for content in (b"one", b"two"):
            path = root / "incoming" / "same-name.dcm"
            path.write_bytes(content)
            paths.append(store.quarantine(path, "DN-1007"))
            assert not path.exists()
        assert [path.read_bytes() for path in paths] == [b"one", b"two"]
        assert {path.parent for path in paths} == {root / "quarantine" / "DN-1007"}


@pytest.mark.parametrize(("reason", "folder"), [("../../up", "up"), ("", "other"), ("a/b c", "abc")])
def test_a_reason_never_leads_out_of_the_quarantine(root: Path, reason: str, folder: str) -> None:
    path = root / "incoming" / "x.dcm"
    path.write_bytes(b"x")
    with Store.open(root) as store:
        assert store.quarantine(path, reason).parent == root / "quarantine" / folder


def test_quarantining_again_after_a_crash_in_the_middle_ends_the_move(root: Path) -> None:
    path = root / "incoming" / "x.dcm"
    path.write_bytes(b"x")
    target = root / "quarantine" / "torn" / "x.dcm"
    target.parent.mkdir()
    target.hardlink_to(path)
    with Store.open(root) as store:
        assert store.quarantine(path, "torn") == target
    assert not path.exists()
    assert [file.name for file in target.parent.iterdir()] == ["x.dcm"]


def test_a_result_object_is_kept_under_a_name_of_our_own(root: Path) -> None:
    with Store.open(root) as store:
        path = store.put_object("1.2.3", b"content")
        assert path.read_bytes() == b"content"
        assert path.parent == root / "outbox"
        assert "1.2.3" not in path.name
        assert store.put_object("1.2.3", b"content") == path
        assert store.put_object("1.2.4", b"content") != path
    assert [path.name for path in (root / "outbox").glob(".*")] == []


def test_one_uid_never_names_two_objects(root: Path) -> None:
    with Store.open(root) as store:
        path = store.put_object("1.2.3", b"content")
        with pytest.raises(NodeError) as caught:
            store.put_object("1.2.3", b"other")
        assert caught.value.fault is OBJECT_CONFLICT
        assert path.read_bytes() == b"content"
