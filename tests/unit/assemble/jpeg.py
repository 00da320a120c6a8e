"""JPEG codestreams for tests: lossless by an encoder of our own, baseline by Pillow."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

# Differences of 0 to 15 bits, each class with a code of 5 bits: not short, but simple
_CLASSES = 16
_CODE_BITS = 5


def lossless(samples: np.ndarray, bits: int) -> bytes:
    """Encode (j, i) or (j, i, c) of so many bits, 15 at most, by process 14, first-order prediction."""
    samples = samples.reshape(*samples.shape[:2], -1).astype(np.int64)
    rows, columns, components = samples.shape
    numbers = range(1, components + 1)
    predicted = np.empty_like(samples)
    predicted[:, 1:] = samples[:, :-1]
    predicted[1:, 0] = samples[:-1, 0]
    predicted[0, 0] = 1 << (bits - 1)
    table = bytes([0, *[0] * (_CODE_BITS - 1), _CLASSES, *[0] * (16 - _CODE_BITS), *range(_CLASSES)])
    frame = struct.pack(">BHHB", bits, rows, columns, components) + bytes(
        byte for number in numbers for byte in (number, 0x11, 0)
    )
    scan = bytes([components, *(byte for number in numbers for byte in (number, 0)), 1, 0, 0])
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xC3, frame),
            _segment(0xC4, table),
            _segment(0xDA, scan),
            _entropy_coded(samples - predicted),
            b"\xff\xd9",
        )
    )


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _entropy_coded(differences: np.ndarray) -> bytes:
    bits = []
    for one in differences.ravel().tolist():
        size = abs(one).bit_length()
        assert size < _CLASSES
        bits.append(f"{size:0{_CODE_BITS}b}")
        if size:  # T.81 F.1.2.1.1: of a negative one, the bits of one less
            bits.append(f"{one if one > 0 else one + (1 << size) - 1:0{size}b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def baseline(samples: np.ndarray, **options: object) -> bytes:
    """Encode uint8 (j, i) or (j, i, 3) by process 1; options: of Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()
