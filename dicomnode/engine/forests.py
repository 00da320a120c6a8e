"""Forests and other heads of classical learning as ONNX: ONNX Runtime alone has their operators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dicomnode.engine.onnx_wire import UnsafeNetworkError, fields

_CLASSICAL: Final = b"ai.onnx.ml"  # domain of the operators for trees, linear models, scalers …
_GRAPH, _NODE, _DOMAIN = 7, 1, 7  # fields of ModelProto, GraphProto and NodeProto (onnx.proto3)


def is_forest(content: bytes) -> bool:
    """Tell whether an ONNX file holds such operators: no plan is made of it, no runtime of a GPU is tried.

    That it imports their operator set says nothing: many networks do. Of what is no ONNX file: False.
    """
    try:
        return any(
            bytes(domain) == _CLASSICAL
            for graph in _inside(memoryview(content), _GRAPH)
            for node in _inside(graph, _NODE)
            for domain in _inside(node, _DOMAIN)
        )
    except UnsafeNetworkError:  # who loads it says what is wrong
        return False


def _inside(message: memoryview, number: int) -> Iterator[memoryview]:
    for field, _, value in fields(message):
        if field == number and not isinstance(value, int):
            yield value
