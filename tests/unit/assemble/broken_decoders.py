"""Decoders that fail as real ones have: without an error. pydicom takes them as plug-ins."""

from __future__ import annotations

import numpy as np

DECODER_DEPENDENCIES: dict = {}


def is_available(uid):
    return True


def zeros(source, runner):
    """Return a frame of zeros, as a GPU decoder did for 12-bit lossless JPEG."""
    return bytes(runner.rows * runner.columns * 2)


def beyond(source, runner):
    """Return values that more bits hold than the header says."""
    return np.full(runner.rows * runner.columns, 2**runner.bits_stored, "<u2").tobytes()


def fails(source, runner):
    """Raise what pydicom makes a failure of."""
    raise ValueError("no luck")
