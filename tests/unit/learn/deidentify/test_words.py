"""Which words of a description may stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.learn.deidentify.words import cleaned, is_clean


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("CT chest of Zephyrine Quixbury", "CT chest"),
        ("lesion-1", "lesion-1"),
        ("Lung, left", "Lung, left"),
        ("Thorax 1.25mm B30f", "Thorax 1.25mm"),
        ("DWI b1000", "DWI b1000"),
        ("seen 12/03/24", ""),
        ("liver 15.01.2024", "liver"),
        ("MRN 4711", ""),
        ("山田太郎", ""),
        ("", ""),
    ],
)
def test_only_words_of_a_list_and_measures_stay(text, left):
    assert cleaned(text) == left


@given(st.text(max_size=40))
def test_what_was_cleaned_is_clean(text):
    assert is_clean(cleaned(text))
