"""Warnings of libraries in a process of several threads: what one wants of them is nothing to the others."""

import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicomnode.store.foreign import UNREADABLE, quiet, strict


def doubtful() -> None:
    warnings.warn("a value is doubtful", stacklevel=1)


def within(ask: Callable, *, entered: threading.Barrier, left: threading.Barrier) -> type | None:
    """What a warning came to in a thread that asked so, while the other one was within its own."""
    try:
        with ask():
            entered.wait(10)
            try:
                doubtful()
            finally:
                left.wait(10)
    except UserWarning as error:
        return type(error)
    return None


def test_a_thread_is_quiet_while_another_takes_warnings_as_errors() -> None:
    entered, left = threading.Barrier(2), threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(within, ask, entered=entered, left=left) for ask in (quiet, strict)]
    assert [one.result() for one in asked] == [None, UserWarning]


def test_nothing_stays_of_two_threads_that_leave_in_the_order_in_which_they_came() -> None:
    first, second = quiet(), strict()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for pool, step in (
            (one, first.__enter__),
            (other, second.__enter__),
            (one, lambda: first.__exit__(None, None, None)),
            (other, lambda: second.__exit__(None, None, None)),
        ):
            pool.submit(step).result()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            one.submit(doubtful).result()
            other.submit(doubtful).result()
    assert len(said) == 2


def test_what_was_warned_of_before_is_an_error_where_warnings_are() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        doubtful()
        with pytest.raises(UserWarning, match="doubtful"), strict():
            doubtful()
    assert len(said) == 1


def test_filters_that_somebody_sets_later_change_nothing_of_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(UserWarning), strict():
            doubtful()
        warnings.simplefilter("error")
        with quiet():
            doubtful()


def test_the_innermost_wish_counts_and_the_one_around_it_after_that() -> None:
    with strict():
        with quiet():
            doubtful()
        with pytest.raises(UserWarning):
            doubtful()


def test_only_warnings_of_users_are_errors_where_warnings_are() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with strict():
            warnings.warn("it will go", DeprecationWarning, stacklevel=1)
    assert [one.category for one in said] == [DeprecationWarning]


def test_a_warning_that_was_made_an_error_is_what_a_damaged_file_raises() -> None:
    assert issubclass(UserWarning, UNREADABLE)


def test_the_store_is_used_without_pydicom_and_numpy() -> None:
    asks = (
        "import sys, dicomnode.store as store;"
        "of_findings = {'load_findings', 'read_provenance', 'read_remarks'};"
        "[getattr(store, name) for name in store.__all__ if name not in of_findings];"
        "print(sorted({'pydicom', 'numpy'} & set(sys.modules)))"
    )
    # In an interpreter of its own: this one has loaded them
    done = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
