"""Values to JSON and back, guided by their own declarations: no format of its own to forget a field in.

Arrays and bytes are kept beside the JSON, one behind the other ("blobs"); the JSON says where. A field that
a value does not declare, or one that is missing and has no default, is an error: what is read is what was
written. Shape and dtype of arrays are kept; all else is checked by the values themselves when they are made.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import numpy as np

_SCALARS: Final = (str, int, float, bool)


class Undecodable(Exception):  # noqa: N818  it is caught in this room and becomes a row of the table
    """The JSON does not fit the declaration; the text says where."""


class Blobs:
    """Bytes kept beside the JSON: appended when encoding, cut out when decoding."""

    def __init__(self, content: bytes = b"") -> None:
        self._parts = [content]
        self._size = len(content)

    def add(self, data: bytes) -> list[int]:
        """Append; give offset and length."""
        place = [self._size, len(data)]
        self._parts.append(data)
        self._size += len(data)
        return place

    def get(self, place: Any) -> bytes:
        """Cut out what `add` said."""
        offset, length = place
        if not 0 <= offset <= offset + length <= self._size:
            raise Undecodable(f"blob {place} lies outside of {self._size} bytes")
        return self.content[offset : offset + length]

    @property
    def content(self) -> bytes:
        """All blobs, one behind the other."""
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0]


@functools.cache
def _fields(cls: type) -> tuple[tuple[str, Any, bool], ...]:
    """Name, declared type, and whether it may be missing, of each field of a value."""
    hints = get_type_hints(cls)
    return tuple((field.name, hints[field.name], _has_default(field)) for field in dataclasses.fields(cls))


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


_BY_ORIGIN: Final[dict[Any, str]] = {
    tuple: "tuple",
    types.UnionType: "optional",
    Union: "optional",
    np.ndarray: "array",
}
_BY_CLASS: Final[dict[Any, str]] = {
    np.ndarray: "array",
    Mapping[str, str]: "words",
    datetime: "time",
    bytes: "bytes",
    **dict.fromkeys(_SCALARS, "scalar"),
}


def _kind(hint: Any) -> str:
    """Which of the few forms of declarations this is."""
    found = _BY_CLASS.get(hint) or _BY_ORIGIN.get(get_origin(hint))
    if found is not None:
        return found
    if dataclasses.is_dataclass(hint):
        return "value"
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return "word"
    raise TypeError(f"values with {hint!r} cannot be stored yet")


def _only(hint: Any) -> Any:
    """The T of `T | None`."""
    rest = [arg for arg in get_args(hint) if arg is not types.NoneType]
    if len(rest) != 1:
        raise TypeError(f"values with {hint!r} cannot be stored yet")
    return rest[0]


def _element_hints(hint: Any, count: int) -> list[Any]:
    args = get_args(hint)
    if len(args) == 2 and args[1] is Ellipsis:
        return [args[0]] * count
    if len(args) != count:
        raise Undecodable(f"{count} elements where {hint} is declared")
    return list(args)


# ── to JSON ──


def encode(value: Any, hint: Any, blobs: Blobs) -> Any:
    """Give what `json` can write for `value`, declared as `hint`."""
    return _ENCODERS[_kind(hint)](value, hint, blobs)


def _encode_value(value: Any, hint: Any, blobs: Blobs) -> dict[str, Any]:
    return {name: encode(getattr(value, name), declared, blobs) for name, declared, _ in _fields(hint)}


def _encode_tuple(value: Any, hint: Any, blobs: Blobs) -> list[Any]:
    return [encode(v, h, blobs) for v, h in zip(value, _element_hints(hint, len(value)), strict=True)]


def _encode_optional(value: Any, hint: Any, blobs: Blobs) -> Any:
    return None if value is None else encode(value, _only(hint), blobs)


def _encode_array(value: Any, hint: Any, blobs: Blobs) -> dict[str, Any]:
    del hint
    if value.dtype.hasobject:
        raise TypeError("arrays of objects cannot be stored")
    array = np.asarray(value, dtype=value.dtype.newbyteorder("<"))
    return {"dtype": array.dtype.str, "shape": list(array.shape), "blob": blobs.add(array.tobytes())}


def _encode_bytes(value: Any, hint: Any, blobs: Blobs) -> list[int]:
    del hint
    return blobs.add(bytes(value))


def _encode_time(value: Any, hint: Any, blobs: Blobs) -> str:
    del hint, blobs
    text: str = value.isoformat()
    return text


def _encode_word(value: Any, hint: Any, blobs: Blobs) -> str:
    del blobs
    return str(hint(value))


def _encode_words(value: Any, hint: Any, blobs: Blobs) -> dict[str, str]:
    del hint, blobs
    return {str(name): str(text) for name, text in value.items()}


def _encode_scalar(value: Any, hint: Any, blobs: Blobs) -> Any:
    del blobs
    return hint(value)  # numpy's numbers are not JSON's


_ENCODERS: Final[dict[str, Callable[[Any, Any, Blobs], Any]]] = {
    "value": _encode_value,
    "tuple": _encode_tuple,
    "optional": _encode_optional,
    "array": _encode_array,
    "bytes": _encode_bytes,
    "time": _encode_time,
    "word": _encode_word,
    "words": _encode_words,
    "scalar": _encode_scalar,
}


# ── and back ──


def decode(data: Any, hint: Any, blobs: Blobs) -> Any:
    """Give the value that `encode` was given; raises Undecodable, and ValueError as the values do."""
    return _DECODERS[_kind(hint)](data, hint, blobs)


def _decode_value(data: Any, hint: Any, blobs: Blobs) -> Any:
    if not isinstance(data, dict):
        raise Undecodable(f"{hint.__name__} must be an object, found {type(data).__name__}")
    fields = _fields(hint)
    unknown = set(data) - {name for name, _, _ in fields}
    if unknown:
        raise Undecodable(f"{hint.__name__} has no {min(unknown)!r}")
    missing = [name for name, _, optional in fields if name not in data and not optional]
    if missing:
        raise Undecodable(f"{hint.__name__} lacks {missing[0]!r}")
    return hint(**{name: decode(data[name], declared, blobs) for name, declared, _ in fields if name in data})


def _decode_tuple(data: Any, hint: Any, blobs: Blobs) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise Undecodable(f"a list is wanted for {hint}, found {type(data).__name__}")
    return tuple(decode(d, h, blobs) for d, h in zip(data, _element_hints(hint, len(data)), strict=True))


def _decode_optional(data: Any, hint: Any, blobs: Blobs) -> Any:
    return None if data is None else decode(data, _only(hint), blobs)


def _decode_array(data: Any, hint: Any, blobs: Blobs) -> Any:
    del hint
    dtype = np.dtype(data["dtype"])
    if dtype.hasobject:
        raise Undecodable("arrays of objects are not read")
    array = np.frombuffer(blobs.get(data["blob"]), dtype=dtype).reshape(data["shape"])
    return array.astype(dtype.newbyteorder("="))  # a copy: the blobs may go


def _decode_bytes(data: Any, hint: Any, blobs: Blobs) -> bytes:
    del hint
    return blobs.get(data)


def _decode_time(data: Any, hint: Any, blobs: Blobs) -> datetime:
    del hint, blobs
    return datetime.fromisoformat(data)


def _decode_word(data: Any, hint: Any, blobs: Blobs) -> Any:
    del blobs
    return hint(data)


def _decode_words(data: Any, hint: Any, blobs: Blobs) -> dict[str, str]:
    del hint, blobs
    if not isinstance(data, dict) or not all(isinstance(text, str) for text in data.values()):
        raise Undecodable("an object with texts is wanted")
    return data


def _decode_scalar(data: Any, hint: Any, blobs: Blobs) -> Any:
    del blobs
    if hint is float and type(data) is int:
        return float(data)
    if type(data) is not hint:
        raise Undecodable(f"{hint.__name__} is wanted, found {type(data).__name__}")
    return data


_DECODERS: Final[dict[str, Callable[[Any, Any, Blobs], Any]]] = {
    "value": _decode_value,
    "tuple": _decode_tuple,
    "optional": _decode_optional,
    "array": _decode_array,
    "bytes": _decode_bytes,
    "time": _decode_time,
    "word": _decode_word,
    "words": _decode_words,
    "scalar": _decode_scalar,
}
