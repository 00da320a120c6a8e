"""Findings on disk: one file, whole or not there, with its schema number inside.

A ZIP archive of `findings.json` and `blobs.bin` (masks, matrices, source headers): readable without
dicomnode, checked by the archive's CRC, and the same bytes for the same Findings.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import structlog

from dicomnode.faults import FINDINGS_UNREADABLE, NodeError
from dicomnode.store.codec import Blobs, Undecodable, decode, encode
from dicomnode.store.disk import Disk
from dicomnode.store.layout import FINDINGS, hashed
from dicomnode.store.quarantine import quarantine
from dicomnode.store.whole import write_first
from dicomnode.values import Findings, Outcome, Provenance, Remark

log = structlog.get_logger("dicomnode.store")

# 2: maps, derived images, feature vectors, scores of slices, intervals, details of the provenance, priors
# 3: changes since an earlier study. 4: whether a score is calibrated. 5: classes and features of each lesion
# 6: the attribute that a class is a value of
SCHEMA: Final = 6
_READ: Final = (1, 2, 3, 4, 5, 6)  # what a later one has more may be missing: its defaults say "none"
_JSON: Final = "findings.json"
_BLOBS: Final = "blobs.bin"
_SUFFIX: Final = ".findings"
# The earliest that a ZIP archive can say: the same Findings give the same bytes whenever they are written
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)
# Source headers of a thousand slices are some MB; what claims to be larger is no file of ours
_LARGEST: Final = 4 << 30


def findings_name(findings: Findings) -> str:
    """Name of the file: of the study, its version, the engine, and the series that it looked at."""
    first = findings.sources[0]
    study = hashed(first.study_instance_uid)
    where = [f"{frame.sop_instance_uid}:{frame.frame_number}" for frame in first.frames[:1]]
    # What says that an analysis failed is another file than what it finds when it works. So is each reason
    # why nothing was looked at: a try that died before its commit may have kept one that holds no more
    mark = [str(findings.outcome)] if findings.outcome is Outcome.FAILED else []
    if findings.outcome is Outcome.NOT_ANALYSED:
        mark = [str(findings.outcome), *(remark.text for remark in findings.remarks)]
    made_by = findings.provenance
    engine = hashed(made_by.engine, made_by.version, first.series_instance_uid, *where, *mark)
    return f"{study}-v{findings.study_version}-{engine[:16]}{_SUFFIX}"


def pack_findings(findings: Findings) -> bytes:
    """Make the content of the file."""
    blobs = Blobs()
    tree = {"schema": SCHEMA, "findings": encode(findings, Findings, blobs)}
    text = json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in ((_JSON, text.encode()), (_BLOBS, blobs.content)):
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return target.getvalue()


def load_findings(path: Path) -> Findings:
    """Read the file; raises NodeError(FINDINGS_UNREADABLE)."""
    with _readable(path), zipfile.ZipFile(path) as archive:
        tree = _tree(archive)
        findings: Findings = decode(tree, Findings, Blobs(_member(archive, _BLOBS)))
    return findings


def read_provenance(path: Path) -> Provenance:
    """Read of the file what made the Findings, and no mask; raises NodeError(FINDINGS_UNREADABLE)."""
    made_by: Provenance = _read_field(path, "provenance", Provenance)
    return made_by


def read_remarks(path: Path) -> tuple[Remark, ...]:
    """Read of the file what the Findings remark, and no mask; raises NodeError(FINDINGS_UNREADABLE)."""
    remarks: tuple[Remark, ...] = _read_field(path, "remarks", tuple[Remark, ...])
    return remarks


def _read_field(path: Path, name: str, of: Any) -> Any:
    with _readable(path), zipfile.ZipFile(path) as archive:
        return decode(_tree(archive)[name], of, Blobs())


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (
        OSError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,  # a compression that this Python does not know
        Undecodable,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise NodeError(FINDINGS_UNREADABLE, path=path, error=error) from error


def _tree(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Read the JSON of the Findings."""
    tree = json.loads(_member(archive, _JSON))
    _check_schema(tree["schema"])
    findings: dict[str, Any] = tree["findings"]
    return findings


def _check_schema(found: object) -> None:
    if found not in _READ:
        raise Undecodable(f"it has schema {found}, this version knows {_READ[0]} to {_READ[-1]}")


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _LARGEST:
        raise Undecodable(f"{name} claims to have {archive.getinfo(name).file_size} bytes")
    return archive.read(name)


def save_findings(disk: Disk, root: Path, findings: Findings) -> Path:
    """Write the file unless there is one that can be read: the first one wins. Raises OSError.

    A worker that slept past its lease may come late with the same work: what another one has committed
    must not change under those who read it.
    """
    path = root / FINDINGS / findings_name(findings)
    if path.exists():
        try:
            load_findings(path)
        except NodeError as error:
            moved = quarantine(disk, root, path, error.fault.code)
            log.error("findings.unreadable", code=error.fault.code, path=moved.name)
        else:
            disk.fsync_dir(path.parent)  # who wrote it may have died before its name was durable
            return path
    write_first(disk, path, pack_findings(findings))
    return path
