"""Bodies of several parts, in pieces of any length, and bodies that break the rules."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.net.multipart import boundary_of, parts

BOUNDARY = b"--frontier"
HEADER = b"Content-Type: application/dicom\r\n\r\n"


def body(*contents: bytes, before: bytes = b"") -> bytes:
    each = b"".join(BOUNDARY + b"\r\n" + HEADER + content + b"\r\n" for content in contents)
    return before + each + BOUNDARY + b"--\r\n"


def in_pieces(content: bytes, size: int) -> Callable[[], bytes]:
    pieces = iter([content[at : at + size] for at in range(0, len(content), size)])
    return lambda: next(pieces, b"")


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 400))
def test_what_went_in_comes_out_however_it_is_cut(contents: list[bytes], size: int) -> None:
    if any(BOUNDARY in content for content in contents):
        return
    assert list(parts(in_pieces(body(*contents), size), BOUNDARY, 400)) == contents


def test_what_stands_before_the_first_boundary_is_passed_over() -> None:
    content = body(b"one", before=b"This is a multipart message.\r\n")
    assert list(parts(in_pieces(content, 7), BOUNDARY, 400)) == [b"one"]


def test_a_part_may_have_no_headers() -> None:
    content = BOUNDARY + b"\r\n\r\n" + b"bare" + b"\r\n" + BOUNDARY + b"--"
    assert list(parts(in_pieces(content, 3), BOUNDARY, 400)) == [b"bare"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (body(b"x" * 500), "longer than 400 bytes"),
        (body(b"one")[:-6], "ends before its last boundary"),
        (body(b"one", b"two")[:60], "ends before its last boundary"),
        (b"", "ends before its last boundary"),
        (b"<html>no parts here</html>", "ends before its last boundary"),
        (b"x" * 100_000, "there is no boundary"),
        (BOUNDARY + b"\r\n" + b"h" * 100_000, "headers of a part have no end"),
    ],
)
def test_a_body_that_breaks_the_rules_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        list(parts(in_pieces(content, 1000), BOUNDARY, 400))


def test_the_parts_before_a_cut_are_given() -> None:
    read = in_pieces(body(b"one", b"two")[:-8], 50)
    found = []
    with pytest.raises(ValueError, match="last boundary"):
        found.extend(parts(read, BOUNDARY, 400))
    given_one_by_one = []
    one_by_one = parts(in_pieces(body(b"one", b"two" * 40)[:-30], 50), BOUNDARY, 400)
    given_one_by_one.append(next(one_by_one))
    assert given_one_by_one == [b"one"]
    with pytest.raises(ValueError, match="last boundary"):
        next(one_by_one)


@pytest.mark.parametrize(
    ("content_type", "delimiter"),
    [
        ("multipart/related; boundary=abc", b"--abc"),
        ('multipart/related; type="application/dicom"; boundary="a b:c"', b"--a b:c"),
        ("Multipart/Related;boundary=xyz;type=application/dicom", b"--xyz"),
    ],
)
def test_the_boundary_is_read_from_the_content_type(content_type: str, delimiter: bytes) -> None:
    assert boundary_of(content_type) == delimiter


@pytest.mark.parametrize(
    "content_type",
    ["", "application/dicom", "multipart/related", 'multipart/related; boundary=""', "text/html; boundary=a"],
)
def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(ValueError, match="boundary"):
        boundary_of(content_type)
