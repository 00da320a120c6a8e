"""What leaves a process as log lines."""

from __future__ import annotations

import ast
import io
import json
import logging
import threading
import warnings
from pathlib import Path

import pytest
import structlog

import dicomnode
from dicomnode.serve.logs import ALLOWED, set_up_logging
from dicomnode.settings import LogSettings


@pytest.fixture
def lines():
    stream = io.StringIO()
    hook = threading.excepthook
    set_up_logging(LogSettings(format="json", level="info"), stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    threading.excepthook = hook
    logging.captureWarnings(capture=False)


def test_a_line_is_one_json_object_with_event_level_and_time(lines):
    structlog.get_logger("dicomnode.receive").info("instance.stored", sop_instance_uid="1.2.3", bytes=5)
    (line,) = lines()
    assert line["event"] == "instance.stored"
    assert line["level"] == "info"
    assert line["sop_instance_uid"] == "1.2.3"
    assert line["timestamp"].endswith("Z")


def test_a_fact_that_is_not_on_the_list_is_dropped_and_only_its_name_is_told(lines):
    structlog.get_logger("dicomnode.receive").info("instance.stored", patient_name="Doe^Jane", bytes=5)
    (line,) = lines()
    assert line["dropped"] == "patient_name"
    assert "Doe" not in json.dumps(line)


def test_lines_below_the_level_do_not_leave(lines):
    structlog.get_logger("dicomnode.receive").debug("noise")
    assert lines() == []


def test_what_the_dicom_libraries_say_does_not_leave(lines, capsys):
    logging.getLogger("pydicom").warning("Invalid value for VR PN: 'Doe^Jane'")
    logging.getLogger("pynetdicom.events").error("Exception in handler: Doe^Jane")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.warn("value 'Doe^Jane' too long", UserWarning, stacklevel=1)
    captured = capsys.readouterr()
    assert "Doe" not in json.dumps(lines()) + captured.out + captured.err


def test_a_thread_that_ends_by_an_exception_leaves_a_line_and_no_traceback(lines, capsys):
    def fail() -> None:
        raise ValueError("Doe^Jane")

    before = threading.excepthook
    thread = threading.Thread(target=fail, name="reader")
    thread.start()
    thread.join()
    (line,) = lines()
    assert (line["event"], line["code"]) == ("thread.ended", "DN-6099")
    assert "reader" in line["text"]
    captured = capsys.readouterr()
    assert "Doe" not in json.dumps(line) + captured.out + captured.err
    assert threading.excepthook is before


def _fact_names() -> set[str]:
    """The names of all facts that log calls of the package name, by its syntax trees."""
    found: set[str] = set()
    for path in Path(dicomnode.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in {"debug", "info", "warning", "error"} and "log" in ast.unparse(
                node.func.value
            ):
                found |= {keyword.arg for keyword in node.keywords if keyword.arg}
    return found


def test_every_fact_that_the_rooms_log_is_on_the_list():
    names = _fact_names()
    assert "sop_instance_uid" in names
    assert {name for name in names - ALLOWED if not name.endswith("_s")} == set()


def test_a_line_names_the_room_that_it_comes_from(lines):
    structlog.get_logger("dicomnode.receive").warning("association.rejected", calling_ae="X")
    assert lines()[0]["logger"] == "dicomnode.receive"
