"""The node of the demonstration: a real `dicomnode serve` with a configuration and a store of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicomnode.faults import DEMO_BROKEN, DEMO_INCOMPLETE, NodeError
from dicomnode.serve.process.line import die_with_parent

if TYPE_CHECKING:
    from dicomnode.net import Peer

_START_S: Final = 60.0
_STOP_S: Final = 20.0
_POLL_S: Final = 0.1
# A demonstration need not wait a minute for the last image: all of them come at once
_QUIET_S: Final = 2.0


class DemoNode:
    """Starts the service in a process of its own and ends it again, however the demonstration ends."""

    def __init__(self, folder: Path, archive: Peer, engines: list[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "node.log"
        self.config = folder / "dicomnode.toml"
        self.config.write_text(_configuration(folder, archive, engines), encoding="utf-8")
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the service and wait until it receives; `port` is set then. Raises NodeError."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dicomnode", "serve", "--config", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the whole group; the node is told by us
                preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509  one thread is all there is
            )  # fmt: skip
        self.port = self._wait_until_ready()

    def _wait_until_ready(self) -> int:
        end = time.monotonic() + _START_S
        while time.monotonic() < end and self.alive:
            for line in self.log.read_text(encoding="utf-8").splitlines():
                if line.startswith("{") and '"node.ready"' in line:
                    return int(json.loads(line)["port"])
            time.sleep(_POLL_S)
        if not self.alive:
            raise NodeError(DEMO_BROKEN, state="it ended at once", log=self.log)
        state = "the node does not receive yet"
        raise NodeError(DEMO_INCOMPLETE, seconds=_START_S, state=state, log=self.log)

    @property
    def alive(self) -> bool:
        """Tell whether the service still runs."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Stop the service as systemd would: SIGTERM, and SIGKILL if it does not listen."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _configuration(folder: Path, archive: Peer, engines: list[str]) -> str:
    tables = "\n".join(f'[[engine]]\nname = "{name}"\n' for name in engines)
    return f"""schema = 1
[receive]
address = "127.0.0.1"
port = 0
[[sender]]
ae_title = "SCANNER"
address = "127.0.0.1"
[store]
path = {json.dumps(str(folder / "store"))}
reserve_gb = 0.2
[assemble]
quiet_time_s = {_QUIET_S}
[serve]
stop_timeout_s = 10
[log]
format = "json"
{tables}
[[destination]]
name = "archive"
ae_title = "{archive.ae_title}"
host = "{archive.host}"
port = {archive.port}
# An archive that does not know this node takes a request for commitment and does not answer it, or hangs up
confirm_wait_s = 3.0
retry_first_s = 1.0
"""
