"""STOW-RS to a real HTTP server: each answer has its outcome, and nothing of it costs more than its time."""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from dicomnode.deliver import FileOutcome
from dicomnode.deliver.by_web import WebRoute
from dicomnode.faults import (
    PEER_BUSY,
    SEND_UNREADABLE,
    STORE_REFUSED,
    WEB_FAILED,
    WEB_LOGIN_REFUSED,
    WEB_REFUSED,
    WEB_UNREACHABLE,
    Fault,
    NodeError,
)
from dicomnode.net import Login, Trust, WebPeer
from dicomnode.net.rate import Rate
from dicomnode.net.stow import store_by_web
from tests.wire.certificates import Authority, server_context
from tests.wire.earlier import web_server
from tests.wire.peers import DEADLINE_S, http_server
from tests.wire.small_objects import CT, STUDY, write_object, write_objects

pytestmark = pytest.mark.wire

UID = f"{STUDY}.1.1"


@dataclass
class Service:
    """A DICOMweb service that answers as told. answer: does it, with the handler; taken: Part 10 files."""

    answer: Callable[[BaseHTTPRequestHandler, bytes], None]
    peer: WebPeer = field(default_factory=lambda: WebPeer("WEB1", "http://127.0.0.1"))
    taken: list[bytes] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@contextlib.contextmanager
def service(
    answer: Callable[[BaseHTTPRequestHandler, bytes], None],
    *,
    reads: bool = True,
    context: ssl.SSLContext | None = None,
) -> Iterator[Service]:
    """Run it. reads: it reads the body before it answers."""
    running = Service(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            running.asked.append((self.path, dict(self.headers)))
            with contextlib.suppress(OSError):
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length) if reads else b""
                if len(body) == length:  # else it hung up in the middle
                    running.taken.append(part_of(body, self.headers["Content-Type"]))
                running.answer(self, body)

        def log_message(self, *_: object) -> None:
            pass

    with http_server(Handler, context) as address:
        running.peer = WebPeer("WEB1", f"{address}/dicom-web")
        yield running


def part_of(body: bytes, content_type: str) -> bytes:
    """The one part of a multipart/related body (RFC 2387)."""
    assert 'type="application/dicom"' in content_type
    found = re.search(r"boundary=(\S+)", content_type)
    assert found
    boundary = found[1].encode()
    head, _, rest = body.partition(b"\r\n\r\n")
    assert head.startswith(b"--" + boundary + b"\r\nContent-Type: application/dicom")
    content, _, tail = rest.rpartition(b"\r\n--" + boundary)
    assert tail == b"--\r\n"
    return content


def replies(
    status: int, body: Any = None, content_type: str = "application/dicom+json", **headers: str
) -> Callable[[BaseHTTPRequestHandler, bytes], None]:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()

    def answer(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(status)
        told = {"Content-Type": content_type, "Content-Length": str(len(content))}
        for name, value in (told | {key.replace("_", "-"): of for key, of in headers.items()}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def stored(uid: str = UID, warning: int | None = None) -> dict[str, Any]:
    item = {"00081150": {"vr": "UI", "Value": [CT]}, "00081155": {"vr": "UI", "Value": [uid]}}
    if warning is not None:
        item["00081196"] = {"vr": "US", "Value": [warning]}  # type: ignore[dict-item]
    return {"00081199": {"vr": "SQ", "Value": [item]}}


def failed(reason: int, uid: str = UID) -> dict[str, Any]:
    item = {
        "00081150": {"vr": "UI", "Value": [CT]},
        "00081155": {"vr": "UI", "Value": [uid]},
        "00081197": {"vr": "US", "Value": [reason]},
    }
    return {"00081198": {"vr": "SQ", "Value": [item]}}


def sent(
    peer: WebPeer, files: list[Path], stop: bool = False, rate: Rate | None = None, goes_on: bool = True
) -> list[FileOutcome]:
    """Send by a WebRoute; each outcome is told once."""
    told: list[FileOutcome] = []
    stopping = threading.Event()
    if stop:
        stopping.set()
    outcomes = WebRoute(peer, rate).send(
        files, on_outcome=told.append, on_negotiated=lambda _: goes_on, stop=stopping
    )
    assert outcomes == told
    return outcomes


ANSWERS: list[tuple[int, Any, str, int | None, Fault | None]] = [
    (200, stored(), "stored", 0, None),
    (200, [stored()], "stored", 0, None),
    (200, {}, "stored", 0, None),
    (200, b"", "stored", 0, None),
    (200, b"<NativeDicomModel/>", "stored", 0, None),
    (202, stored(warning=0xB000), "stored", 0xB000, None),
    (202, stored(warning=0xB007), "stored", 0xB007, None),
    (202, stored(warning=1), "stored", 0xB000, None),  # no warning that the standard has: stored all the same
    (202, b"", "retry", None, WEB_FAILED),  # some were stored, it says, and not which
    (202, stored("1.2.3"), "retry", None, WEB_FAILED),
    (202, failed(0x0122), "refused", 0x0122, STORE_REFUSED),
    (409, failed(0x0122), "refused", 0x0122, STORE_REFUSED),
    (409, failed(0xA700), "retry", 0xA700, PEER_BUSY),
    (409, failed(0xA900), "refused", 0xA900, STORE_REFUSED),
    (409, failed(0xC000), "refused", 0xC000, STORE_REFUSED),
    (409, failed(0x0110, "1.2.3"), "retry", 0x0110, PEER_BUSY),  # the only one there: it is ours
    (409, failed(0xB000), "retry", 0x0110, PEER_BUSY),  # a warning is no failure: it says that it failed
    (409, failed(0x0111), "stored", 0x0111, None),
    (409, b"", "retry", 0x0110, PEER_BUSY),
    (409, b"{", "retry", 0x0110, PEER_BUSY),
    (200, failed(0x0110), "retry", 0x0110, PEER_BUSY),
    (400, b"", "refused", None, WEB_REFUSED),
    (413, b"", "refused", None, WEB_REFUSED),
    (415, b"", "refused", None, WEB_REFUSED),
    (400, failed(0x0122), "refused", 0x0122, STORE_REFUSED),
    (401, b"", "retry", None, WEB_LOGIN_REFUSED),
    (403, b"", "retry", None, WEB_LOGIN_REFUSED),
    (404, b"", "retry", None, WEB_FAILED),
    (500, b"", "retry", None, WEB_FAILED),
    (503, b"", "retry", None, WEB_FAILED),
    (204, None, "retry", None, WEB_FAILED),
]


def test_each_answer_has_its_outcome(tmp_path: Path) -> None:
    (file,) = write_objects(tmp_path, 1)
    with service(replies(200)) as web:
        for status, body, word, told, fault in ANSWERS:
            web.answer = replies(status, body)
            (outcome,) = sent(web.peer, [file])
            found = (outcome.outcome, outcome.status, outcome.fault and outcome.fault.fault)
            assert found == (word, told, fault), f"{status} {body!r}: {outcome.text}"
            assert outcome.sop_instance_uid == UID


def test_the_instance_goes_into_its_study_byte_for_byte_and_is_asked_about_in_json(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 2)
    with service(replies(200, stored())) as web:
        sent(web.peer, files)
    assert web.taken == [file.read_bytes() for file in files]
    for path, headers in web.asked:
        assert path == f"/dicom-web/studies/{STUDY}"
        assert headers["Accept"] == "application/dicom+json"


def test_where_the_service_is_away_the_others_are_not_tried(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 3)
    with service(replies(503)) as web:
        outcomes = sent(web.peer, files)
        assert len(web.asked) == 2, "one may be the matter of the instance, two are not"
    assert [one.outcome for one in outcomes] == ["retry"] * 3
    assert [one.fault and one.fault.fault for one in outcomes] == [WEB_FAILED] * 3
    away = sent(replace(web.peer, timeout_s=1.0), files)  # it has ended
    assert [one.fault and one.fault.fault for one in away] == [WEB_UNREACHABLE] * 3


def test_an_instance_that_the_service_fails_at_does_not_hold_up_the_others(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 4)
    answers = iter([500, 200, 500, 200])

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        replies(next(answers))(handler, body)

    with service(answer) as web:
        outcomes = sent(web.peer, files)
    assert [one.outcome for one in outcomes] == ["retry", "stored", "retry", "stored"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_login_that_is_not_taken_is_tried_once(tmp_path: Path, status: int) -> None:
    with service(replies(status)) as web:
        outcomes = sent(web.peer, write_objects(tmp_path, 3))
        assert len(web.asked) == 1
    assert [one.fault and one.fault.fault for one in outcomes] == [WEB_LOGIN_REFUSED] * 3


@pytest.mark.parametrize(
    ("of_series", "of_study", "found"),
    [(404, 204, frozenset()), (204, 204, frozenset()), (404, 404, WEB_FAILED), (403, 204, WEB_LOGIN_REFUSED)],
    ids=["none of it", "nothing", "no QIDO-RS", "may only store"],
)
def test_a_series_that_a_service_does_not_know_is_an_answer(
    of_series: int, of_study: int, found: frozenset[str] | Fault
) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        replies(of_series if "/series/" in handler.path else of_study)(handler, b"")

    with web_server(answer) as peer:
        try:
            told: frozenset[str] | Fault | None = WebRoute(peer).lists(STUDY, {f"{STUDY}.1"})
        except NodeError as error:
            told = error.fault
    assert told == found


def test_an_instance_that_is_refused_or_not_taken_now_does_not_hold_up_the_others(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 4)
    files.insert(1, tmp_path / "text.dcm")
    files[1].write_text("no DICOM")
    files.insert(2, tmp_path / "gone.dcm")
    answers = iter([failed(0xA900), failed(0xA700, f"{STUDY}.1.2"), stored(f"{STUDY}.1.3")])

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        replies(202, next(answers, stored(f"{STUDY}.1.4")))(handler, body)

    with service(answer) as web:
        outcomes = sent(web.peer, files)
    assert [one.outcome for one in outcomes] == ["refused", "refused", "refused", "retry", "stored", "stored"]
    assert [one.fault and one.fault.fault for one in outcomes[1:3]] == [SEND_UNREADABLE] * 2


def test_a_stop_leaves_what_was_not_tried_for_later(tmp_path: Path) -> None:
    with service(replies(200, stored())) as web:
        outcomes = sent(web.peer, write_objects(tmp_path, 2), stop=True)
        assert web.asked == []
    assert [(one.outcome, one.fault) for one in outcomes] == [("retry", None)] * 2


def test_a_class_that_is_refused_ends_the_sending_where_something_else_is_to_be_made(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 3)
    with service(replies(409, failed(0x0122))) as web:
        assert sent(web.peer, files, goes_on=False) == []
        assert len(web.asked) == 1
        assert [one.outcome for one in sent(web.peer, files)] == ["refused"] * 3


@pytest.mark.parametrize("secured", [False, True], ids=["http", "https"])
def test_who_refuses_before_it_has_read_all_is_understood(tmp_path: Path, secured: bool) -> None:
    """It answers at once, and hangs up while the body still comes."""
    authority = Authority(tmp_path / "ca")
    file = write_object(tmp_path / "a.dcm", 1, pixels=bytes(8 << 20))

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        replies(401, Connection="close")(handler, body)
        handler.wfile.flush()
        handler.connection.settimeout(10)
        with contextlib.suppress(OSError):
            handler.connection.recv(100_000)  # a little of it
        handler.close_connection = True

    context = server_context(authority.issue("web")) if secured else None
    with service(answer, reads=False, context=context) as web:
        peer = replace(web.peer, trust=Trust(ca_file=authority.pair.certificate)) if secured else web.peer
        (outcome,) = sent(peer, [file])
    assert outcome.outcome == "retry"
    # What the kernel still has when the connection is reset is not always given to who reads
    assert outcome.fault is not None
    assert outcome.fault.fault in (WEB_LOGIN_REFUSED, WEB_UNREACHABLE)


def test_a_service_that_hangs_up_or_stalls_in_the_middle_is_tried_again_later(tmp_path: Path) -> None:
    file = write_object(tmp_path / "a.dcm", 1, pixels=bytes(8 << 20))
    done = threading.Event()

    def hang_up(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.connection.recv(100_000)
        handler.close_connection = True

    def stall(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        done.wait(DEADLINE_S)
        handler.close_connection = True

    def half(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        replies(200, b"{", Content_Length="1000")(handler, body)
        handler.close_connection = True

    for behave, words in ((hang_up, ""), (stall, "no answer within 2 s"), (half, "")):
        with service(behave, reads=False) as web:
            (outcome,) = sent(replace(web.peer, timeout_s=2.0), [file])
        assert outcome.outcome == "retry", behave.__name__
        assert words in outcome.text
        assert done.is_set() == (behave is half), "it is not the service that ended it"
        if behave is stall:
            done.set()


def test_a_redirect_is_not_followed_with_what_is_sent(tmp_path: Path) -> None:
    with service(replies(307, Location="/elsewhere")) as web:
        (outcome,) = sent(web.peer, write_objects(tmp_path, 1))
        assert [path for path, _ in web.asked] == [f"/dicom-web/studies/{STUDY}"]
    assert outcome.outcome == "retry"
    assert "status 307" in outcome.text


def test_a_login_goes_with_it_and_no_answer_is_endless(tmp_path: Path) -> None:
    (file,) = write_objects(tmp_path, 1)
    token = tmp_path / "token"
    token.write_text("abc")
    token.chmod(0o600)
    with service(replies(200, bytes(5_000_000))) as web:
        peer = replace(web.peer, login=Login(token=f"file:{token}"))
        (outcome,) = sent(peer, [file])
        assert web.asked[0][1]["Authorization"] == "Bearer abc"
    assert outcome.outcome == "retry", "an answer of 5 MB is no answer"


def test_a_file_that_shrinks_while_it_is_sent_is_refused(tmp_path: Path) -> None:
    file = write_object(tmp_path / "a.dcm", 1, pixels=bytes(4 << 20))

    class Shrinking(Rate):
        def take(self, count: int) -> None:
            del count
            with file.open("r+b") as handle:
                handle.truncate(1000)

    with service(replies(200, stored())) as web, pytest.raises(NodeError) as caught:
        store_by_web(web.peer, STUDY, file, UID, Shrinking(1.0))
    assert caught.value.fault is SEND_UNREADABLE
    assert "shorter" in str(caught.value)


def test_no_more_bytes_go_in_a_second_than_are_to(tmp_path: Path) -> None:
    """By a clock that only the waits move: 4 MB at 2 MB a second."""
    file = write_object(tmp_path / "a.dcm", 1, pixels=bytes(4_000_000))
    waits: list[float] = []
    rate = Rate(2.0, lambda: sum(waits), waits.append)
    with service(replies(200, stored())) as web:
        (outcome,) = sent(web.peer, [file], rate=rate)
    assert outcome.outcome == "stored"
    assert web.taken == [file.read_bytes()]
    assert 1.7 < sum(waits) < 2.0


def test_what_has_no_study_is_refused(tmp_path: Path) -> None:
    (file,) = write_objects(tmp_path, 1)
    nowhere = "../../etc".ljust(len(STUDY), "/")
    begin = b"\x20\x00\x0d\x00UI" + len(STUDY).to_bytes(2, "little")  # (0020,000D), Explicit VR
    content = file.read_bytes()
    assert begin + STUDY.encode() in content
    file.write_bytes(content.replace(begin + STUDY.encode(), begin + nowhere.encode()))
    with service(replies(200, stored())) as web:
        (outcome,) = sent(web.peer, [file])
        assert web.asked == []
    assert outcome.outcome == "refused"
