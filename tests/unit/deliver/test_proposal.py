from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.encaps import encapsulate

from dicomnode.deliver.proposal import EXPLICIT_LE, IMPLICIT_LE, ObjectHeader, propose, read_header
from tests.wire.small_objects import write_object

CT, SEG = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.66.4"
VERIFICATION = "1.2.840.10008.1.1"
RLE = "1.2.840.10008.1.2.5"


def header(number: int, sop_class: str = CT, syntax: str = EXPLICIT_LE) -> ObjectHeader:
    return ObjectHeader(
        path=Path(f"{number}.dcm"),
        sop_class_uid=sop_class,
        sop_instance_uid=f"1.2.{number}",
        transfer_syntax_uid=syntax,
        offset=300,
    )


def test_an_uncompressed_object_asks_for_its_own_syntax_first_and_a_compressed_one_for_no_other() -> None:
    assert header(1).pairs() == [(CT, EXPLICIT_LE), (CT, IMPLICIT_LE)]
    assert header(1, syntax=IMPLICIT_LE).pairs() == [(CT, IMPLICIT_LE), (CT, EXPLICIT_LE)]
    assert header(1, syntax=RLE).pairs() == [(CT, RLE)]
    assert header(1, syntax="1.2.840.10008.1.2.2").pairs() == [(CT, "1.2.840.10008.1.2.2")]
    assert header(1, syntax="1.2.840.10008.1.2.1.99").pairs() == [(CT, "1.2.840.10008.1.2.1.99")]


def test_objects_that_share_contexts_share_one_association() -> None:
    (proposal,) = propose([header(1), header(2, SEG, RLE), header(3, syntax=IMPLICIT_LE)])
    assert proposal.contexts == [
        (CT, (EXPLICIT_LE,)),
        (CT, (IMPLICIT_LE,)),
        (SEG, (RLE,)),
        (VERIFICATION, (EXPLICIT_LE, IMPLICIT_LE)),
    ]
    assert [one.sop_instance_uid for one in proposal.headers] == ["1.2.1", "1.2.2", "1.2.3"]


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, RLE])
@pytest.mark.parametrize("meta", [None, "1.2.9"], ids=["silent", "another"])
def test_an_object_is_what_its_data_set_says_whatever_the_file_meta_says(
    tmp_path: Path, syntax: str, meta: str | None
) -> None:
    path = write_object(
        tmp_path / "a.dcm", 7, syntax=syntax, pixels=encapsulate([bytes(64)]) if syntax == RLE else bytes(32)
    )
    data = dcmread(path)
    uid = str(data.SOPInstanceUID)
    for keyword in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID"):
        delattr(data.file_meta, keyword)
        if meta is not None:
            setattr(data.file_meta, keyword, meta)
    data.save_as(path, enforce_file_format=False)
    found = read_header(path)
    assert (found.sop_class_uid, found.sop_instance_uid) == (CT, uid)
    assert found.transfer_syntax_uid == syntax


def test_nothing_to_send_is_no_association() -> None:
    assert propose([]) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.sampled_from([EXPLICIT_LE, IMPLICIT_LE, RLE])),
        max_size=600,
    )
)
def test_each_object_goes_over_exactly_one_association_that_has_its_contexts(
    wanted: list[tuple[int, str]],
) -> None:
    headers = [header(n, f"1.2.3.{kind}", syntax) for n, (kind, syntax) in enumerate(wanted)]
    proposals = propose(headers)
    assert Counter(one.sop_instance_uid for p in proposals for one in p.headers) == Counter(
        one.sop_instance_uid for one in headers
    )
    for proposal in proposals:
        assert 1 <= len(proposal.contexts) <= 128
        assert len(set(proposal.contexts)) == len(proposal.contexts)
        needed = {pair for one in proposal.headers for pair in one.pairs()}
        assert set(proposal.pairs) == needed  # exactly those of the objects
        numbers = [int(one.path.stem) for one in proposal.headers]
        assert numbers == sorted(numbers)
