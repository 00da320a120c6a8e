"""A label: a second name of what somebody sent, and what is to be known of it."""

from __future__ import annotations

from pathlib import Path

from dicomnode.store import Store, labels_kept

NAMES = ("1.2.3", "1.2.3.4")


def kept(store: Store) -> dict[str, bytes]:
    return {path.suffix: path.read_bytes() for path in (store.root / "labels").rglob("*.*")}


def test_a_label_costs_no_bytes_and_outlives_the_name_in_the_study(tmp_path: Path) -> None:
    source = tmp_path / "object.dcm"
    source.write_bytes(b"first")
    with Store.open(tmp_path / "store") as store:
        path = store.keep_label(source, NAMES, b"{}")
        assert path.samefile(source)
        assert store.keep_label(source, NAMES, b"{}") == path  # as after a crash
        source.unlink()
        assert kept(store) == {".dcm": b"first", ".json": b"{}"}


def test_an_object_that_was_edited_in_place_takes_the_place_of_its_label(tmp_path: Path) -> None:
    source = tmp_path / "object.dcm"
    source.write_bytes(b"first")
    with Store.open(tmp_path / "store") as store:
        store.keep_label(source, NAMES, b"1")
        source.unlink()
        source.write_bytes(b"second")
        store.keep_label(source, NAMES, b"2")
        assert kept(store) == {".dcm": b"second", ".json": b"2"}


def test_what_is_kept_is_counted_by_study_object_and_byte(tmp_path: Path) -> None:
    assert labels_kept(tmp_path / "none").objects == 0
    source = tmp_path / "object.dcm"
    source.write_bytes(b"first")
    with Store.open(tmp_path / "store") as store:
        for names in (NAMES, ("1.2.3", "1.2.3.5"), ("1.2.4", "1.2.4.1")):
            store.keep_label(source, names, b"{}")
        kept_now = labels_kept(store.root)
    assert (kept_now.studies, kept_now.objects, kept_now.bytes) == (2, 3, 15)
    assert kept_now.path == tmp_path / "store" / "labels"
