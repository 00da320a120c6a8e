"""What pydicom says and raises stays in this room.

Its warnings and log lines quote the values that they speak of, and those may be a patient's name.
"""

from __future__ import annotations

import errno
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
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
    ValueError,
    struct.error,
    zlib.error,
)

# Not even to handlers of its own. After the import of pydicom, which sets this level itself.
logging.getLogger(pydicom.__name__).setLevel(logging.CRITICAL + 1)


@contextmanager
def quiet() -> Iterator[None]:
    """Let no warning of the libraries out. Warning filters are global: use it in one thread at a time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


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
