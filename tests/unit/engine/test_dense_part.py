"""[step.centre_heat] dense_part: what engine.toml may say of it, and what is refused with its key."""

from __future__ import annotations

import pytest

from tests.unit.engine.test_read import GOOD, read

KEYS = "step[2].centre_heat"
TWO = 'inputs = { ct = { of = ["ct", "lungs"] } }'
BESIDE = 'inputs = { ct = { of = ["ct"], neighbours = 1 } }'


def with_keys(*keys: str, inputs: str = "") -> str:
    """An engine that looks for centres, with these keys of [step.centre_heat] and of its step."""
    text = GOOD.replace("threshold = 0.5", "\n".join(("threshold = 0.5", *keys)), 1)
    return text.replace('window = "whole"', f'window = "whole"\n{inputs}', 1)


def test_it_is_off_unless_it_is_said() -> None:
    manifest, problems = read(GOOD)
    assert problems == []
    assert manifest.step[1].centre_heat.dense_part is None


@pytest.mark.parametrize(
    "keys",
    [("dense_part = 0.8",), ("dense_part = 0", "dense_logit = -1.5"), ("dense_part = 1", "mask_logit = 2.3")],
)
def test_it_may_be_said(keys: tuple[str, ...]) -> None:
    assert read(with_keys(*keys))[1] == []


@pytest.mark.parametrize(
    ("keys", "inputs", "key", "said"),
    [
        (("dense_part = 1.2",), "", "dense_part", "0 to 1"),
        (("dense_part = -0.1",), "", "dense_part", "0 to 1"),
        (("dense_logit = -1.0",), "", "dense_logit", "no such key"),
        (("dense_part = 0.8", "dense_logit = 0.5"), "", "dense_logit", "mask_logit, 0, or less"),
        (("dense_part = 0.8",), TWO, "dense_part", "several images"),
        (("dense_part = 0.8",), BESIDE, "dense_part", "several images"),
    ],
)
def test_what_it_cannot_be_is_refused(keys: tuple[str, ...], inputs: str, key: str, said: str) -> None:
    manifest, problems = read(with_keys(*keys, inputs=inputs))
    assert manifest is None
    (found,) = [one for one in problems if one.key == f"{KEYS}.{key}"]
    assert said in str(found)
