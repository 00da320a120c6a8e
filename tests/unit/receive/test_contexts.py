"""Presentation contexts as an acceptor."""

from __future__ import annotations

import pytest
from pydicom._uid_dict import UID_dictionary
from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor

from dicomnode.net.contexts import (
    TRANSFER_SYNTAXES,
    narrow,
    pick_order,
    storage_classes,
    supported_contexts,
)

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, JPEG_LS, J2K = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.91"


@pytest.mark.parametrize(
    "uid",
    [
        CT,
        "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT
        "1.2.840.10008.5.1.4.1.1.4",  # MR
        "1.2.840.10008.5.1.4.1.1.20",  # NM
        "1.2.840.10008.5.1.4.1.1.128",  # PET
        "1.2.840.10008.5.1.4.1.1.130",  # Enhanced PET
        "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
        "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
        "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
        "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
        "1.2.840.10008.5.1.4.1.1.481.3",  # RT Structure Set
        "1.2.840.10008.5.1.4.1.1.9.1.1",  # 12-lead ECG
        "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
        "1.2.840.10008.5.1.4.1.1.77.1.6",  # Whole slide
        "1.2.840.10008.5.1.4.1.1.11.1",  # GSPS
        "1.2.840.10008.5.1.4.1.1.12.1",  # XA
        "1.2.840.10008.5.1.4.1.1.6.1",  # US
    ],
)
def test_what_hospitals_send_is_supported(uid: str) -> None:
    assert uid in storage_classes()


def test_there_are_more_classes_than_one_association_can_propose() -> None:
    assert len(storage_classes()) > 128


def test_a_site_adds_classes_by_uid_or_keyword() -> None:
    retired, private = "1.2.840.10008.5.1.4.1.1.5", "1.3.12.2.1107.5.9.1"
    assert not {retired, private} & storage_classes()
    assert {retired, private, "1.2.840.10008.5.1.4.38.1"} <= storage_classes(
        [retired, private, "HangingProtocolStorage"]
    )
    with pytest.raises(ValueError, match="CTImageStorag"):
        storage_classes(["CTImageStorag"])


def test_every_transfer_syntax_of_the_standard_is_taken_but_deflated_and_foreign_ones() -> None:
    known = {uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"}
    assert set(TRANSFER_SYNTAXES) <= known
    assert len(set(TRANSFER_SYNTAXES)) == len(TRANSFER_SYNTAXES)
    left_out = {UID_dictionary[uid][0] for uid in known - set(TRANSFER_SYNTAXES)}
    assert left_out == {
        "Deflated Explicit VR Little Endian",
        "JPIP Referenced Deflate",
        "JPIP HTJ2K Referenced Deflate",
        "Deflated Image Frame Compression",
        "RFC 2557 MIME encapsulation",
        "XML Encoding",
        "Papyrus 3 Implicit VR Little Endian",
        "SMPTE ST 2110-20 Uncompressed Progressive Active Video",
        "SMPTE ST 2110-20 Uncompressed Interlaced Active Video",
        "SMPTE ST 2110-30 PCM Digital Audio",
    }


def negotiated(requests: list[PresentationContext]) -> list[PresentationContext]:
    proposed = narrow(requests)
    return negotiate_as_acceptor(proposed, supported_contexts(proposed, storage_classes()))[0]


@pytest.mark.parametrize(
    ("proposed", "picked"),
    [
        ([JPEG_LS, EXPLICIT, IMPLICIT], JPEG_LS),  # a compressed original is taken as it is
        ([J2K, JPEG_LS], J2K),
        ([IMPLICIT, EXPLICIT, JPEG_LS], EXPLICIT),  # keeps the VRs; no need to compress
        ([IMPLICIT, JPEG_LS, EXPLICIT], EXPLICIT),
        ([BIG, IMPLICIT], IMPLICIT),
        ([DEFLATED, IMPLICIT], IMPLICIT),
        ([DEFLATED], None),
        (["1.2.3.4"], None),
    ],
)
def test_the_senders_order_decides_what_is_picked(proposed: list[str], picked: str | None) -> None:
    assert next(iter(pick_order(proposed)), None) == picked
    request = build_context(CT, proposed)
    request.context_id = 1
    (answer,) = negotiated([request])
    if picked is None:
        assert answer.result != 0x00
    else:
        assert (answer.result, str(answer.transfer_syntax[0])) == (0x00, picked)


def test_one_class_in_several_contexts_gets_each_of_them() -> None:
    proposals = ([IMPLICIT], [JPEG_LS, IMPLICIT], [DEFLATED], [J2K], [IMPLICIT, EXPLICIT, J2K])
    requests = [build_context(CT, syntaxes) for syntaxes in proposals]
    for number, request in enumerate(requests):
        request.context_id = 2 * number + 1
    accepted = {a.context_id: str(a.transfer_syntax[0]) for a in negotiated(requests) if a.result == 0x00}
    assert accepted == {1: IMPLICIT, 3: JPEG_LS, 7: J2K, 9: EXPLICIT}
    assert [len(request.transfer_syntax) for request in requests] == [1, 2, 1, 1, 3]  # the peer's own words


def test_what_is_not_storage_is_not_supported() -> None:
    find = build_context("1.2.840.10008.5.1.4.1.2.2.1", [IMPLICIT])
    assert supported_contexts([find], storage_classes()) == []
