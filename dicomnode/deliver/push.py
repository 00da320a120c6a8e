"""Pushing a study as a scanner would: with DCMTK's storescu where it is installed, else with our own sender.

For demonstrations and tests. storescu has been written by others: what it sends is not our idea of DICOM.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from dicomnode.deliver.dimse import send_files
from dicomnode.deliver.outcome import FileOutcome, outcome_of
from dicomnode.deliver.proposal import EXPLICIT_LE, IMPLICIT_LE, ObjectHeader, read_header
from dicomnode.faults import PEER_REJECTED, NodeError
from dicomnode.net import Peer
from dicomnode.net.connection import unreachable

OnSent = Callable[[int, int], None]

# What storescu proposes beside the uncompressed ones: one kind a run
_FLAGS: Final = {
    EXPLICIT_LE: "-xe",
    IMPLICIT_LE: "-xe",
    "1.2.840.10008.1.2.4.70": "-xs",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.50": "-xy",  # JPEG baseline
    "1.2.840.10008.1.2.4.51": "-xx",  # JPEG extended
    "1.2.840.10008.1.2.4.80": "-xt",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81": "-xu",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.90": "-xv",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91": "-xw",  # JPEG 2000
    "1.2.840.10008.1.2.5": "-xr",  # RLE
}
_SENDING: Final = re.compile(r"^I: Sending file: (?P<path>.*)$")
_ANSWER: Final = re.compile(r"^I: Received Store Response \((?P<status>.*)\)$")
_TROUBLE: Final = re.compile(r"^[EFW]: (?P<text>.*)$")
_NUMBER: Final = re.compile(r"^Unknown Status: 0x(?P<status>[0-9a-fA-F]+)$")
_STORED: Final = ("Success", "Warning:")  # 0x0000, and the three warnings that it knows


@dataclass(frozen=True, slots=True, kw_only=True)
class PushFailure:
    """A file that was not taken, and why, in words."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PushResult:
    """tool: "storescu" or "dicomnode". sent: files that the peer took. failed: those that it did not."""

    tool: str
    sent: int
    failed: tuple[PushFailure, ...]


def push_study(
    peer: Peer,
    calling_ae: str,
    files: Sequence[Path],
    on_sent: OnSent = lambda _done, _total: None,
    *,
    prefer_dcmtk: bool = True,
) -> PushResult:
    """Send the files, telling `on_sent(done, total)` after each answer.

    Raises NodeError PEER_UNREACHABLE or PEER_REJECTED when no association opens.
    """
    headers, failures = _readable(files)
    storescu = shutil.which("storescu") if prefer_dcmtk else None
    if storescu is None or not all(_can_take(header) for header in headers):
        return _push_ourselves(peer, calling_ae, files, on_sent)
    groups: dict[str, list[ObjectHeader]] = {}
    for header in headers:
        groups.setdefault(_FLAGS[header.transfer_syntax_uid], []).append(header)
    run = _Storescu(storescu, peer, calling_ae, on_sent, len(files))
    run.failures.extend(failures)
    for flag, group in groups.items():
        run.send(flag, [header.path for header in group])
    return PushResult(tool="storescu", sent=run.sent, failed=tuple(run.failures))


def _can_take(header: ObjectHeader) -> bool:
    """Tell whether storescu can be given this file: its file of arguments knows no way to write a quote."""
    return header.transfer_syntax_uid in _FLAGS and not set('"\n') & set(str(header.path.absolute()))


def _readable(files: Sequence[Path]) -> tuple[list[ObjectHeader], list[PushFailure]]:
    headers: list[ObjectHeader] = []
    failures: list[PushFailure] = []
    for path in files:
        try:
            headers.append(read_header(path))
        except NodeError as fault:
            failures.append(PushFailure(path=path, text=str(fault)))
    return headers, failures


def _push_ourselves(peer: Peer, calling_ae: str, files: Sequence[Path], on_sent: OnSent) -> PushResult:
    done = 0

    def count(_: FileOutcome) -> None:
        nonlocal done
        done += 1
        on_sent(done, len(files))

    outcomes = send_files(peer, calling_ae, files, on_outcome=count)
    failed = [outcome for outcome in outcomes if outcome.outcome != "stored"]
    never_opened = next((o.fault for o in failed if o.status is None and o.fault), None)
    if len(failed) == len(outcomes) and never_opened is not None:
        raise never_opened
    return PushResult(
        tool="dicomnode",
        sent=len(outcomes) - len(failed),
        failed=tuple(PushFailure(path=o.path, text=o.text) for o in failed),
    )


class _Storescu:
    """Runs of storescu, followed line by line."""

    def __init__(self, program: str, peer: Peer, calling_ae: str, on_sent: OnSent, total: int) -> None:
        self.program, self.peer, self.calling_ae = program, peer, calling_ae
        self.on_sent, self.total = on_sent, total
        self.sent = 0
        self.failures: list[PushFailure] = []

    def send(self, flag: str, paths: Sequence[Path]) -> None:
        with tempfile.TemporaryDirectory(prefix="dicomnode-push-") as folder:
            # A file of arguments: a study does not fit onto a command line
            arguments = Path(folder, "files")
            arguments.write_text("".join(f'"{path.absolute()}"\n' for path in paths), encoding="utf-8")
            with subprocess.Popen(
                [*self._command(flag), f"@{arguments}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # dots only; the lines come on standard error
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env={**os.environ, "TCP_NODELAY": "1", "LC_ALL": "C"},
            ) as process:
                try:
                    if process.stderr is not None:
                        self._follow(process.stderr, paths)
                finally:
                    process.terminate()  # it has ended, unless we were interrupted

    def _command(self, flag: str) -> list[str]:
        wait = str(max(1, round(self.peer.timeout_s)))
        return [
            *(self.program, "-v", "-nh", "-R", flag),  # -R: only the SOP Classes of the files
            *("-aet", self.calling_ae, "-aec", self.peer.ae_title),
            *("-to", wait, "-ts", wait, "-ta", wait, "-td", wait, "-pdu", "131072"),
            *(self.peer.host, str(self.peer.port)),
        ]

    def _follow(self, lines: IO[str], paths: Sequence[Path]) -> None:
        """Read what storescu says, and settle each file when it is done with it."""
        waiting = {str(path.absolute()): path for path in paths}
        current: Path | None = None
        trouble: list[str] = []
        for raw in lines:
            line = raw.rstrip("\n")
            if found := _SENDING.match(line):
                self._fail(current, trouble)  # the one before had no answer
                current, trouble = waiting.pop(found["path"], None), []
            elif current is not None and (found := _ANSWER.match(line)):
                self._settle(current, found["status"])
                current = None
            elif found := _TROUBLE.match(line):
                trouble.append(found["text"].strip())
        self._fail(current, trouble)
        if waiting:
            self._not_opened(trouble)
        for path in waiting.values():
            self._fail(path, trouble)

    def _settle(self, path: Path, status: str) -> None:
        if _is_stored(status):
            self.sent += 1
            self._tell()
        else:
            self._fail(path, [status])

    def _fail(self, path: Path | None, trouble: Sequence[str]) -> None:
        if path is not None:
            text = " ".join(trouble) or "storescu did not say why"
            self.failures.append(PushFailure(path=path, text=text))
            self._tell()

    def _tell(self) -> None:
        self.on_sent(self.sent + len(self.failures), self.total)

    def _not_opened(self, trouble: Sequence[str]) -> None:
        """Raise the failure of an association that did not open, if that is what happened."""
        text = " ".join(trouble)
        if "Association Rejected" in text:
            raise NodeError(
                PEER_REJECTED,
                name=self.peer.name,
                host=self.peer.host,
                port=self.peer.port,
                ae_title=self.peer.ae_title,
                calling_ae=self.calling_ae,
                reason=" ".join(line for line in trouble if "Association Rejected" not in line),
            )
        if "Association Request Failed" in text:
            raise unreachable(self.peer, text.partition("Failed: ")[2] or text)


def _is_stored(status: str) -> bool:
    """Read storescu's words for a status: names for those that it knows, else the number."""
    if number := _NUMBER.match(status):
        return outcome_of(int(number["status"], 16)) == "stored"
    return status.startswith(_STORED)
