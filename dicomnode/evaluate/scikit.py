"""Whether scikit-learn is there: it belongs to the extra `evaluate`, not to the default install."""

from __future__ import annotations

from importlib import import_module

from dicomnode.faults import EVALUATE_MISSING, NodeError


def need_scikit_learn(what: str) -> None:
    """Make sure that scikit-learn can be imported. what: begins the sentence ("The area under a ROC curve").

    Raises NodeError: EVALUATE_MISSING.
    """
    try:
        import_module("sklearn")
    except ImportError as error:
        raise NodeError(EVALUATE_MISSING, what=what, package="scikit-learn", error=error) from error
