"""When to try again: longer and longer, never giving up, and not all at the same instant."""

from __future__ import annotations

from typing import Final

_JITTER: Final = 0.2  # share of the wait that is left to chance
_MOST_DOUBLINGS: Final = 62  # beyond any sensible longest wait; keeps the power finite


def next_try_s(attempt: int, first_s: float, longest_s: float, jitter: float) -> float:
    """Seconds to wait after the `attempt`-th try (1 is the first) has failed.

    The wait begins at `first_s`, doubles each time and ends at `longest_s`; `jitter`, 0 to 1, takes up to a
    fifth off it, so that what failed together does not come back together.
    Raises ValueError for an attempt below 1, waits that are not above 0, a jitter outside 0 to 1.
    """
    if attempt < 1 or not first_s > 0 or not longest_s > 0 or not 0 <= jitter <= 1:
        raise ValueError(f"no wait follows from {attempt=}, {first_s=}, {longest_s=}, {jitter=}")
    wait_s: float = min(longest_s, first_s * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS))
    return wait_s * (1.0 - _JITTER * jitter)
