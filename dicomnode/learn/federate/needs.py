"""What the extra [federated] must have installed."""

from __future__ import annotations

from importlib import import_module

from dicomnode.faults import FEDERATED_MISSING, NodeError


def require_flower() -> None:
    """Raise NodeError(FEDERATED_MISSING) where Flower cannot be imported."""
    try:
        import_module("flwr")
    except ImportError as error:
        raise NodeError(FEDERATED_MISSING, package="flwr", error=error) from error
