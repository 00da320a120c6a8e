"""How log lines leave a process: JSON for machines or text for people, never a patient's data.

A line is an event name and facts. Only facts whose names are in `ALLOWED` leave; others are dropped and
their names (not their values) are told, so that a careless line cannot leak a header.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final, TextIO

import structlog

from dicomnode.faults import BUG, NodeError
from dicomnode.settings import LogSettings

_ALLOWED_WORDS: Final = """
    event level timestamp logger
    study study_instance_uid series_instance_uid sop_instance_uid sop_class_uid transfer_syntax_uid version
    task kind engine destination calling_ae called_ae address peer association process pid
    code text remedy error state reason why status count bytes ms attempt not_before evidence port path
    stage done total outcome exit runtime digest free_gb signal sealed torn objects lines dropped where url
    schema before after files instances studies segments set_aside shape_kji repairs notes
    source shortfall then notice references transaction committed failed
    device uuid plan log step precision passed worst doing way what keywords by since
"""
ALLOWED: Final = frozenset(_ALLOWED_WORDS.split())
# Durations are numbers, whatever stage they are of ("lungs_s")
_DURATION: Final = "_s"

_LEVELS: Final = {name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error")}


def _keep_allowed(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    dropped = sorted(name for name in event if name not in ALLOWED and not name.endswith(_DURATION))
    for name in dropped:
        del event[name]
    if dropped:
        event["dropped"] = ",".join(dropped)
    return event


class _NamedLogger(structlog.WriteLogger):
    """Writes lines, and knows which room it is of."""

    def __init__(self, file: TextIO, name: str) -> None:
        super().__init__(file)
        self.name = name


def _add_name(logger: Any, _: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["logger"] = logger.name
    return event


def fault_facts(error: NodeError) -> dict[str, str]:
    """Give the facts of a failure for a log line."""
    return {"code": error.fault.code, "text": error.fault.text(**error.values), "remedy": error.remedy}


def bug(error: BaseException, where: str) -> NodeError:
    """Make the failure of an error that nobody foresaw: its kind and the place, never its words.

    What an exception says may quote what a header held.
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return NodeError(BUG, where=where, error=f"{type(error).__name__}{place}")


def _tell_of_thread(ended: threading.ExceptHookArgs) -> None:
    """Tell of a thread that ended by an exception; its traceback stays here, it may quote what came in."""
    where = ended.thread.name if ended.thread is not None else "a thread"
    error = ended.exc_value if ended.exc_value is not None else ended.exc_type()
    structlog.get_logger("dicomnode.serve").error("thread.ended", **fault_facts(bug(error, where)))


def set_up_logging(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send log lines of this process to `stream` (standard error); quiet the libraries below us.

    pydicom and pynetdicom quote element values in their messages: theirs never leave.
    """
    out = sys.stderr if stream is None else stream
    as_json = settings.format == "json" or (settings.format == "auto" and not out.isatty())
    renderer: Any = (
        structlog.processors.JSONRenderer(sort_keys=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=24)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _add_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _keep_allowed,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=lambda *names: _NamedLogger(out, str(names[0]) if names else "dicomnode"),
        cache_logger_on_first_use=False,
    )
    logging.captureWarnings(capture=True)
    threading.excepthook = _tell_of_thread
    for name in ("pydicom", "pynetdicom", "py.warnings", "highdicom", "alembic", "sqlalchemy"):
        library = logging.getLogger(name)
        library.handlers = [logging.NullHandler()]
        library.propagate = False
