"""Which names may be one, in whatever character sets they are written; two persons' names never are."""

from __future__ import annotations

from itertools import permutations
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.store.foreign import quiet
from dicomnode.store.names import Name, may_be_one, read_name

LATIN_1, LATIN_2, CYRILLIC, UTF_8 = ("ISO_IR 100",), ("ISO_IR 101",), ("ISO_IR 144",), ("ISO_IR 192",)
JAPANESE, GB18030, NONE = ("", "ISO 2022 IR 87"), ("GB18030",), ()
KANJI = "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B".encode("ascii")

ONE = {
    "ASCII, declared or not": [(b"Doe^John", NONE), (b"Doe^John", LATIN_1), (b"Doe^John", UTF_8)],
    "padded": [(b"Doe^John ", NONE), (b"Doe^John", NONE)],
    "with empty parts": [(b"Doe^John^^=", LATIN_1), (b"Doe^John", LATIN_1)],
    "with empty parts in a group": [
        ("Yamada^Tarou^^^=山田^太郎".encode(), UTF_8),
        ("Yamada^Tarou=山田^太郎^".encode(), UTF_8),
    ],
    "accents as characters of their own": [("Mu\u0308ller".encode(), UTF_8), (b"M\xfcller", LATIN_1)],
    "kana with its marks apart": [("Yamada=カ\u3099".encode(), UTF_8), ("Yamada=ガ".encode(), UTF_8)],
    "without ideographs in one": [("Yamada^Tarou=山田^太郎".encode(), UTF_8), (b"Yamada^Tarou", NONE)],
    "without ideographs in one, both of an old set": [(KANJI, JAPANESE), (b"Yamada^Tarou", JAPANESE)],
    "with a phonetic group alone in one": [
        ("Yamada^Tarou==やまだ^たろう".encode(), UTF_8),
        ("Yamada^Tarou=山田^太郎".encode(), UTF_8),
    ],
    "without an alphabetic group in both": [("=山田^太郎".encode(), UTF_8), ("=山田^太郎^".encode(), UTF_8)],
    "Latin-1 and nothing": [(b"M\xfcller^J\xf6rg", LATIN_1), (b"M\xfcller^J\xf6rg", NONE)],
    "UTF-8 and nothing": [(b"M\xc3\xbcller", UTF_8), (b"M\xc3\xbcller", NONE)],
    "UTF-8 and Latin-1": [(b"M\xc3\xbcller", UTF_8), (b"M\xfcller", LATIN_1)],
    "UTF-8 and Latin-1, neither declared": [(b"M\xc3\xbcller", NONE), (b"M\xfcller", NONE)],
    "UTF-8 and Latin-1 that is not declared": [(b"M\xc3\xbcller", UTF_8), (b"M\xfcller", NONE)],
    "Cyrillic and nothing": [("Иванов".encode("iso8859_5"), CYRILLIC), ("Иванов".encode("iso8859_5"), NONE)],
    "Japanese and nothing": [(KANJI, JAPANESE), (KANJI, NONE)],
    "Japanese and UTF-8": [(KANJI, JAPANESE), ("Yamada^Tarou=山田^太郎".encode(), UTF_8)],
    "GB18030 and nothing": [("王^小东".encode("gb18030"), GB18030), ("王^小东".encode("gb18030"), NONE)],
    "GB18030 and UTF-8": [("王^小东".encode("gb18030"), GB18030), ("王^小东".encode(), UTF_8)],
    "GB18030 and UTF-8 that is not declared": [
        ("王^小东".encode("gb18030"), GB18030),
        ("王^小东".encode(), NONE),
    ],
    "a set that does not exist": [(b"M\xfcller", ("ISO_IR 999",)), (b"M\xfcller", LATIN_1)],
    "a set that the bytes are not in": [(b"M\xfcller", UTF_8), (b"M\xfcller", LATIN_1)],
    "in capitals": [("MÜLLER^JÖRG".encode(), UTF_8), (b"M\xfcller^J\xf6rg", LATIN_1)],
    "with spaces": [(b" Doe ^John", NONE), (b"Doe^ John", NONE)],
    "wide letters": [("ＤＯＥ^ｊｏｈｎ".encode(), UTF_8), (b"Doe^John", NONE)],
    "narrow kana": [("Yamada==ﾔﾏﾀﾞ".encode(), UTF_8), ("Yamada==ヤマダ".encode(), UTF_8)],
    "without a middle name in one": [(b"Doe^John^M", NONE), (b"Doe^John", NONE)],
    "without a prefix in one, nor a middle name in the other": [
        (b"Doe^John^^Dr", NONE),
        (b"Doe^John^M", NONE),
    ],
    "a name and nobody": [(b"Doe", NONE), (b"", NONE)],
    "nobody between two of one name": [(b"Doe^John", NONE), (b"", NONE), (b"DOE^John", NONE)],
    "nobody twice": [(b"", NONE), (b" ", UTF_8)],
}

TWO = {
    "ue for ü": [(b"M\xfcller", LATIN_1), (b"Mueller", LATIN_1)],
    "ue for ü, not declared": [(b"M\xfcller", NONE), (b"Mueller", NONE)],
    "u for ü": [(b"M\xc3\xbcller", UTF_8), (b"Muller", NONE)],
    "the same bytes in two declared sets": [(b"Koci\xe8", LATIN_1), (b"Koci\xe8", LATIN_2)],
    "other bytes, neither declared": [(b"M\xfcller", NONE), (b"M\xf6ller", NONE)],
    "other bytes, one declared": [(b"M\xfcller", NONE), (b"M\xc3\xb6ller", UTF_8)],
    "another given name": [(b"Doe^John", NONE), (b"Doe^Joan", LATIN_1)],
    "another order": [(b"Doe^John", NONE), (b"John^Doe", NONE)],
    "Japanese": [(KANJI, JAPANESE), ("Yamada^Tarou=山田^次郎".encode(), UTF_8)],
    "Japanese, one not declared": [(KANJI, JAPANESE), (KANJI.replace(b"B@O:", b"B@Ov"), NONE)],
    "GB18030": [("王^小东".encode("gb18030"), GB18030), ("王^小冬".encode(), UTF_8)],
    "GB18030, neither declared": [("王^小东".encode("gb18030"), NONE), ("王^小冬".encode("gb18030"), NONE)],
    "other ideographs": [
        ("Yamada^Tarou=山田^太郎".encode(), UTF_8),
        ("Yamada^Tarou=山田^次郎".encode(), UTF_8),
    ],
    "another phonetic group": [
        ("Yamada=山田=やまだ".encode(), UTF_8),
        ("Yamada==やまた".encode(), UTF_8),
    ],
    "the same ideographs of another alphabetic name": [
        ("Yamada^Tarou=山田^太郎".encode(), UTF_8),
        ("Yamada^Jirou=山田^太郎".encode(), UTF_8),
    ],
    "no alphabetic group in one": [("=山田^太郎".encode(), UTF_8), ("Yamada=山田^太郎".encode(), UTF_8)],
    "one without ideographs between two": [
        ("Yamada^Tarou=山田^太郎".encode(), UTF_8),
        (b"Yamada^Tarou", NONE),
        ("Yamada^Tarou=山田^次郎".encode(), UTF_8),
    ],
    "ideographs in no declared set, and none": [(KANJI, NONE), (b"Yamada^Tarou", NONE)],
    "no alphabetic group, and nothing in common": [("=山田".encode(), UTF_8), ("==やまだ".encode(), UTF_8)],
    "another middle name": [(b"Doe^John^M", NONE), (b"Doe^John^N", NONE)],
    "two middle names, and none": [(b"Doe^John^M", NONE), (b"Doe^John", NONE), (b"Doe^John^N", NONE)],
    "a given name in one": [(b"Doe", NONE), (b"Doe^John", NONE)],
    "nobody between two": [(b"Doe^John", NONE), (b"", NONE), (b"Roe^John", NONE)],
    "what may be both, between two": [
        (b"Koci\xe8", LATIN_1),
        (b"Koci\xe8", NONE),
        (b"Koci\xe8", LATIN_2),
    ],
}


def names(written) -> list[Name]:
    with quiet():
        return [read_name(content, terms) for content, terms in written]


@pytest.mark.parametrize("case", ONE)
def test_the_name_of_one_person_is_one_however_it_is_written(case):
    assert all(may_be_one(some) for some in permutations(names(ONE[case])))


@pytest.mark.parametrize("case", TWO)
def test_the_names_of_two_persons_are_two(case):
    assert not any(may_be_one(some) for some in permutations(names(TWO[case])))


LETTERS = st.text(st.characters(categories=("Lu", "Ll"), max_codepoint=0xFF), min_size=1, max_size=12)
WRITINGS = {LATIN_1: "latin-1", UTF_8: "utf-8", GB18030: "gb18030"}
DECLARED = st.sampled_from(sorted(WRITINGS))


@given(st.lists(LETTERS, min_size=1, max_size=4), st.lists(DECLARED, min_size=4, max_size=4))
def test_names_in_declared_sets_are_one_exactly_where_they_are_the_same_text_but_for_capitals(texts, sets):
    encodable = [(text, terms) for text, terms in zip(texts, sets, strict=False)]
    read = names([(text.encode(WRITINGS[terms]), terms) for text, terms in encodable])
    assert may_be_one(read) == (len({normalize("NFKC", text.casefold()) for text in texts}) == 1)


@given(LETTERS, st.sampled_from([LATIN_1, UTF_8]), st.sampled_from([LATIN_1, UTF_8]))
def test_what_a_header_leaves_out_makes_no_second_person(text, first, second):
    one = (text.encode(WRITINGS[first]), first)
    for other in (text.encode(WRITINGS[second]), NONE), (text.encode(WRITINGS[second]), second):
        assert may_be_one(names([one, other]))


@given(LETTERS, LETTERS, DECLARED)
def test_two_names_that_one_program_wrote_without_a_set_are_two(first, second, terms):
    read = names([(text.encode(WRITINGS[terms]), NONE) for text in (first, second)])
    assert may_be_one(read) == (first.casefold() == second.casefold())


def test_a_hidden_name_compares_as_the_name_and_tells_nothing():
    for cases, expected in ((ONE, True), (TWO, False)):
        for written in cases.values():
            hidden = [one.hidden(lambda text: f"{len(text)}:{hash(text)}") for one in names(written)]
            assert may_be_one(hidden) == expected
    (one,) = names([(b"Doe^John", NONE)])
    assert "Doe" not in repr(one.hidden(lambda _: "-"))
