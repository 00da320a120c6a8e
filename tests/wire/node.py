"""A real node for tests: `dicomnode serve` in a process of its own, on a free port of the loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomnode.journal import Journal, StudyRecord, StudyState
from dicomnode.net import Peer

START_S = 200.0
WALK_S = 240.0  # a study that takes seconds, on a machine with much else to do
STEP_S = 0.05
MANY = 1000  # more studies than any test sends
ENDED = {StudyState.DONE, StudyState.REFUSED, StudyState.FAILED}


@dataclass
class Node:
    """A node: `start`, `kill` (-9, with all its children), `stop` (SIGTERM), `start` again."""

    folder: Path
    engines: list[Path | str]
    archive: Peer
    quiet_time_s: float = 1.0
    assemble: list[str] = field(default_factory=list)  # more lines of [assemble]
    mode: str = "live"
    stop_timeout_s: float = 20.0
    analyse: dict[str, Any] = field(default_factory=dict)  # keys of [analyse]; a table within it as a dict
    environment: dict[str, str] | None = None
    commitment_port: int = 0  # where the sender takes reports
    more: list[str] = field(default_factory=list)  # lines of dicomnode.toml: tables of several
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    starts: int = field(default=0)

    @property
    def config(self) -> Path:
        return self.folder / "dicomnode.toml"

    @property
    def peer(self) -> Peer:
        return Peer(name="node", ae_title="DICOMNODE", host="127.0.0.1", port=self.port, timeout_s=60.0)

    @property
    def log(self) -> Path:
        return self.folder / f"node-{self.starts}.log"

    def write_config(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = ["schema = 1", "[receive]", 'address = "127.0.0.1"', "port = 0"]
        lines += ['commitment = "report"'] if self.commitment_port else []
        lines += ["[[sender]]", 'ae_title = "SCANNER"', 'address = "127.0.0.1"']
        lines += [f"commitment_port = {self.commitment_port}"]
        lines += ["[store]", f"path = {json.dumps(str(self.folder / 'store'))}", "reserve_gb = 0.1"]
        lines += ["[assemble]", f"quiet_time_s = {self.quiet_time_s}", *self.assemble]
        lines += tables("analyse", self.analyse)
        lines += ["[serve]", f"stop_timeout_s = {self.stop_timeout_s}", "[log]", 'format = "json"']
        for engine in self.engines:
            name = engine if isinstance(engine, str) else engine.name
            lines += ["[[engine]]", f'name = "{name}"', f'mode = "{self.mode}"']
            if isinstance(engine, Path):
                lines.append(f"path = {json.dumps(str(engine))}")
        lines += ["[[destination]]", 'name = "archive"', f'ae_title = "{self.archive.ae_title}"']
        lines += ['host = "127.0.0.1"', f"port = {self.archive.port}"]
        lines += ["timeout_s = 30", "retry_first_s = 0.2", "retry_longest_s = 1", *self.more]
        self.config.write_text("\n".join(lines), encoding="utf-8")

    def start(self) -> None:
        self.write_config()
        self.starts += 1
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dicomnode", "serve", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self.environment,
            )
        end = time.monotonic() + START_S
        while not (ready := self.lines("node.ready")):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(STEP_S)
        self.port = int(ready[0]["port"])

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """The log's lines of this start, those of one event or all; not the one that is being written."""
        whole = self.log.read_text().rpartition("\n")[0].splitlines()
        parsed = [json.loads(line) for line in whole if line.startswith("{")]
        return [line for line in parsed if not event or line["event"] == event]

    def kill(self) -> None:
        """End the supervisor as a power cut would; the kernel ends its children with it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.ask_to_stop()
        return self.wait_ended()

    def ask_to_stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def wait_ended(self) -> int:
        assert self.process is not None
        return self.process.wait(START_S)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @contextlib.contextmanager
    def journal(self) -> Iterator[Journal]:
        journal = Journal.open(f"sqlite:///{self.folder}/store/journal.sqlite")
        try:
            yield journal
        finally:
            journal.close()

    def wait_for(
        self, study_uid: str, deadline_s: float = WALK_S, states: Collection[StudyState] = ENDED
    ) -> StudyRecord:
        """Wait until the study has come to an end."""
        (study,) = self.wait_for_all([study_uid], deadline_s, states)
        return study

    def wait_for_all(
        self, study_uids: Collection[str], deadline_s: float = WALK_S, states: Collection[StudyState] = ENDED
    ) -> list[StudyRecord]:
        """Wait until all of the studies have come to an end."""
        end = time.monotonic() + deadline_s
        waiting: dict[str, str] = {}
        with self.journal() as journal:
            while time.monotonic() < end:
                known = {study.study_instance_uid: study for study in journal.studies(MANY)}
                waiting = {
                    uid: _told(known.get(uid))
                    for uid in study_uids
                    if uid not in known or known[uid].state not in states
                }
                if not waiting:
                    return [known[uid] for uid in study_uids]
                time.sleep(STEP_S)
        raise AssertionError(f"these did not end: {waiting}\n{self.log.read_text()[-6000:]}")


def _told(study: StudyRecord | None) -> str:
    return (
        "nothing is known of it" if study is None else f"{study.state.value} {study.reason} {study.progress}"
    )


def tables(name: str, keys: dict[str, Any]) -> list[str]:
    """A table of TOML and those within it, as lines."""
    plain = [f"{key} = {json.dumps(value)}" for key, value in keys.items() if not isinstance(value, dict)]
    within = [
        line
        for key, value in keys.items()
        if isinstance(value, dict)
        for line in tables(f"{name}.{key}", value)
    ]
    return [f"[{name}]", *plain, *within]


@contextlib.contextmanager
def running_node(folder: Path, engines: list[Path | str], archive: Peer, **settings: Any) -> Iterator[Node]:
    """A node that runs until the end of the block, and nothing of it after."""
    node = Node(folder, engines, archive, **settings)
    try:
        node.start()
        yield node
    finally:
        node.close()
