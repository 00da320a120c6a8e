"""Findings of an analysis that failed for good: what a radiologist is told instead of a result.

In plain words, and none of the failure's own: those are for who runs the node, and may quote anything. The
code leads there, by `dicomnode fault CODE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dicomnode.assemble import Stack
from dicomnode.engine import EnginePackage
from dicomnode.faults import (
    CUDA_MEMORY,
    CUDA_MISSING,
    CUDA_UNFIT,
    DEVICE_FULL,
    DIGEST_MISMATCH,
    ENGINE_LEFT_OUT,
    FILE_UNREADABLE,
    FINDINGS_UNREADABLE,
    GATE_FAILED,
    KERNELS_ALTERED,
    KERNELS_MISSING,
    KERNELS_UNFIT,
    KILLED_ITS_WORKER,
    MANIFEST_WRONG,
    NETWORK_UNSAFE,
    PREPARATION_NEEDS,
    RUNTIME_MISSING,
    RUNTIME_REFUSED,
)
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.serve.analysing.unanswered import without_answer
from dicomnode.values import Findings, Outcome, Remark, RemarkKind

_NOT_STARTED: Final = "the program cannot be started on this computer"
_NOT_READ: Final = "the images cannot be read from the disk of this computer"
_MEMORY: Final = "the computer has too little memory for it"
_ANY: Final = "the program ended with an error"

_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        KILLED_ITS_WORKER.code: "the program did not come to an end, or broke down, each time it was tried",
        **{row.code: _MEMORY for row in (CUDA_MEMORY, DEVICE_FULL)},
        **{row.code: _NOT_READ for row in (FILE_UNREADABLE, FINDINGS_UNREADABLE)},
        **{
            row.code: _NOT_STARTED
            for row in (
                CUDA_MISSING,
                CUDA_UNFIT,
                DIGEST_MISMATCH,
                ENGINE_LEFT_OUT,
                GATE_FAILED,
                KERNELS_ALTERED,
                KERNELS_MISSING,
                KERNELS_UNFIT,
                MANIFEST_WRONG,
                NETWORK_UNSAFE,
                PREPARATION_NEEDS,
                RUNTIME_MISSING,
                RUNTIME_REFUSED,
            )
        },
    }
)


def reason_of(code: str | None) -> str:
    """Say why an analysis failed, by the row of the table of faults, as the end of a sentence."""
    return _REASONS.get(code or "", _ANY)


def failed(package: EnginePackage, stack: Stack, code: str | None, occasion: Occasion) -> Findings:
    """Say that the engine was to analyse the series and that this failed. code: the row that tells why."""
    text = f"The analysis of this series by {package.manifest.title} failed: {reason_of(code)}."
    remark = Remark(kind=RemarkKind.NOT_ANALYSED, text=text, code=code)
    return without_answer(package, stack, Outcome.FAILED, remark, occasion)
