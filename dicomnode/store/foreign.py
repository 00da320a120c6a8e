"""What pydicom says and raises goes no further.

Its warnings and log lines quote the values that they speak of, and those may be a patient's name.
The store itself is used without pydicom: whoever needs it loads this module where he needs it.

The filters of warnings belong to the process, and its threads read, write and check data sets at once. So no
thread sets a filter for its own time: what one wants of warnings would end or blind the other, and filters
put back in another order would stay for good. Nor does one wait for the other behind a lock: a report takes
seconds. Two filters stand in front of all, for good; each belongs to a category that a warning is of only
while its own thread asks for that.
"""

from __future__ import annotations

import errno
import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError

from dicomnode.faults import FILE_UNREADABLE, NodeError

# All that pydicom, its decoders and zlib have been seen to raise on damaged input. OSError is not among
# them: a file that the disk does not give is the machine's fault, not the image's. NameError is: a data
# set that ends within an element leaves a variable of pydicom unbound (3.0.2, read_partial).
UNREADABLE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,  # RecursionError and NotImplementedError are RuntimeErrors
    TypeError,
    UserWarning,  # where warnings are errors by the wish of who started the process
    ValueError,
    struct.error,
    zlib.error,
)
# The items of a sequence are found when they are asked for, in bytes that are in memory by then. Where these
# end too early pydicom says so by OSError, which is none of the disk.
UNREADABLE_ITEMS: Final = (*UNREADABLE, OSError)

# Not even to handlers of its own. After the import of pydicom, which sets this level itself.
logging.getLogger(pydicom.__name__).setLevel(logging.CRITICAL + 1)


class _WhileAsked(type):
    """A category that warnings are of only in a thread that asks for it (PEP 3119: `__subclasscheck__`)."""

    def __subclasscheck__(cls, category: type) -> bool:
        return _ASKED.get() is cls and issubclass(category, cls.__bases__[0])


class _Ignored(Warning, metaclass=_WhileAsked):
    """Any warning in a thread within `quiet()`."""


class _Raised(UserWarning, metaclass=_WhileAsked):
    """A UserWarning in a thread within `strict()`."""


class _Nothing(Warning):
    """No warning is of this category."""


_ASKED: Final[ContextVar[type | None]] = ContextVar("what this thread asks of warnings", default=None)
_SETTING: Final = threading.Lock()  # held for as long as two entries of a list take


@contextmanager
def quiet() -> Iterator[None]:
    """Let no warning of this thread out; other threads may do as they like."""
    with _asking(_Ignored):
        yield


@contextmanager
def strict() -> Iterator[None]:
    """Raise the UserWarnings of this thread where they are given; other threads may give theirs.

    As far as filters that belong to the process let it. One passes unseen where another thread, since this
    began, has set filters of its own before these, has put a list without these back (`catch_warnings`), or
    has given the same warning at the same line, which Python then takes for given. Threads that are started
    within are not strict. So it finds what a writer warns of; it is no proof that nobody warned.
    """
    # Makes Python forget which warnings it has given already: it would not look at the filters for those
    warnings.simplefilter("ignore", _Nothing, append=True)
    with _asking(_Raised):
        yield


@contextmanager
def _asking(category: type) -> Iterator[None]:
    _stand_in_front()
    before = _ASKED.set(category)
    try:
        yield
    finally:
        _ASKED.reset(before)


def _stand_in_front() -> None:
    """Set the two filters, where somebody has put others before them since."""
    with _SETTING:
        if {entry[2] for entry in warnings.filters[:2]} != {_Ignored, _Raised}:
            warnings.simplefilter("ignore", _Ignored)
            warnings.simplefilter("error", _Raised)


_stand_in_front()


def is_of_the_disk(error: OSError) -> bool:
    """Tell whether the disk did not give a file; else a damaged file asked for what no file has.

    A length in the data set can send pydicom to a place that no file has (EINVAL, EOVERFLOW).
    """
    return error.errno not in {None, errno.EINVAL, errno.EOVERFLOW}


def file_unreadable(path: Path, error: OSError) -> NodeError:
    """Make the failure of a file that the disk does not give."""
    return NodeError(FILE_UNREADABLE, path=path, error=error.strerror or type(error).__name__)


def reason(error: BaseException) -> str:
    """Say what was raised without its text, which may quote a value of the data set."""
    return f"pydicom raised {type(error).__name__}"
