"""Logins and TLS at DICOMweb services: who is let in, who is believed, and that no secret is ever told."""

from __future__ import annotations

import base64
import ssl
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dicomnode.deliver import push_study
from dicomnode.faults import (
    WEB_FAILED,
    WEB_LOGIN_REFUSED,
    WEB_NOT_TRUSTED,
    WEB_SECRET_UNREADABLE,
    WEB_UNREACHABLE,
    Fault,
    NodeError,
)
from dicomnode.net import (
    FetchLimits,
    Login,
    Meter,
    Trust,
    WebPeer,
    count_by_web,
    retrieve_series,
)
from tests.wire.certificates import Authority, server_context, tls_before
from tests.wire.earlier import BEFORE_UID, SLICES, dicomweb_plugin, examination, web_server
from tests.wire.peers import orthanc

pytestmark = pytest.mark.wire

SECRET = "päss wörd"
TOKEN = "eyJh.bGci-Oi_J~+/=="


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def password(tmp_path: Path) -> Path:
    return written(tmp_path / "password", SECRET)


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(f"{text}\n", encoding="utf-8")
    path.chmod(mode)
    return path


def refused(fault: Fault, peer: WebPeer) -> str:
    """Count at the peer, which fails; give what is said, in which no secret stands."""
    with pytest.raises(NodeError) as caught:
        count_by_web(peer, BEFORE_UID)
    assert caught.value.fault is fault, str(caught.value)
    said = f"{caught.value} {caught.value.remedy} {peer!r} " + "".join(
        traceback.format_exception(caught.value)
    )
    told = SECRET.encode()
    for secret in (
        SECRET,
        TOKEN,
        base64.b64encode(b"node:" + told).decode(),
        base64.b64encode(told).decode(),
    ):
        assert secret not in said
    return str(caught.value)


# ── Orthanc: with users, and behind TLS ──


@contextmanager
def holding(folder: Path, **settings: object) -> Iterator[WebPeer]:
    """An Orthanc that has the earlier study."""
    folder.mkdir()
    given = {"Plugins": [str(dicomweb_plugin())], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with orthanc(folder, **given, **settings) as server:
        files = examination(folder, BEFORE_UID, "20250601")
        assert push_study(server.peer, "SCANNER", files).sent == SLICES
        yield WebPeer("WEB1", f"http://127.0.0.1:{server.http_port}/dicom-web", 10.0)


@contextmanager
def secured(folder: Path, context: ssl.SSLContext) -> Iterator[WebPeer]:
    """The same behind a TLS proxy."""
    with holding(folder) as plain, tls_before(urlsplit(plain.url).port or 0, context) as port:
        yield replace(plain, url=f"https://127.0.0.1:{port}/dicom-web")


def check_answers(peer: WebPeer) -> None:
    assert count_by_web(peer, BEFORE_UID).instances == SLICES
    came: list[bytes] = []
    meter = Meter(peer.name, FetchLimits())
    assert retrieve_series(peer, BEFORE_UID, f"{BEFORE_UID}.1", came.append, meter) == SLICES


def test_orthanc_with_users_lets_the_right_one_in(
    tmp_path: Path, password: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = {"AuthenticationEnabled": True, "RegisteredUsers": {"node": SECRET}}
    with holding(tmp_path / "o", **users) as peer:
        login = Login(user="node", password=f"file:{password}")
        check_answers(replace(peer, login=login))
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        check_answers(replace(peer, login=Login(user="node", password="credential:password")))
        assert "wants a login" in refused(WEB_LOGIN_REFUSED, peer)
        other = replace(peer, login=replace(login, user="other"))
        assert "does not take user 'other'" in refused(WEB_LOGIN_REFUSED, other)
        written(password, "wrong")
        assert "does not take user 'node'" in refused(WEB_LOGIN_REFUSED, replace(peer, login=login))


def test_orthanc_with_the_certificate_of_the_hospital_is_believed_by_its_ca_file_alone(
    tmp_path: Path, authority: Authority
) -> None:
    with secured(tmp_path / "o", server_context(authority.issue("orthanc"))) as peer:
        check_answers(replace(peer, trust=Trust(ca_file=authority.pair.certificate)))
        said = refused(WEB_NOT_TRUSTED, peer)
        assert "https://127.0.0.1" in said
        stranger = Authority(tmp_path / "stranger").pair.certificate
        refused(WEB_NOT_TRUSTED, replace(peer, trust=Trust(ca_file=stranger)))
        other_name = replace(
            peer,
            url=peer.url.replace("127.0.0.1", "localhost"),
            trust=Trust(ca_file=authority.pair.certificate),
        )
        assert "localhost" in refused(WEB_NOT_TRUSTED, other_name)
        refused(WEB_UNREACHABLE, replace(peer, url=peer.url.replace("https", "http")))


def test_orthanc_that_wants_a_certificate_of_the_node_gets_it(tmp_path: Path, authority: Authority) -> None:
    server, node = authority.issue("orthanc"), authority.issue("node", "node", "DNS")
    trust = Trust(ca_file=authority.pair.certificate)
    with secured(tmp_path / "o", server_context(server, authority.pair.certificate)) as peer:
        check_answers(replace(peer, trust=replace(trust, certificate=node.certificate, key=node.key)))
        check_answers(replace(peer, trust=replace(trust, certificate=node.both)))
        assert "certificate of this node" in refused(WEB_UNREACHABLE, replace(peer, trust=trust))


# ── what is wrong with the files that are named ──


def test_a_secret_that_cannot_be_read_is_told_before_anything_is_sent(tmp_path: Path, password: Path) -> None:
    asked: list[str] = []
    with web_server(lambda request: asked.append(request.path)) as peer:

        def said(**login: str) -> str:
            return refused(WEB_SECRET_UNREADABLE, replace(peer, login=Login(**login)))

        assert str(tmp_path / "none") in said(token=f"file:{tmp_path / 'none'}")
        assert "The token" in said(token=f"file:{password}")
        password.chmod(0o644)
        assert "0644" in said(user="node", password=f"file:{password}")
        assert "CREDENTIALS_DIRECTORY" in said(token="credential:token")
    assert asked == []


def test_certificates_that_cannot_be_read_are_told(tmp_path: Path, authority: Authority) -> None:
    node, no_pem = authority.issue("node", "node", "DNS"), written(tmp_path / "no.pem", "none")
    loose = written(tmp_path / "loose.key", node.key.read_text(), 0o644)
    peer = WebPeer("WEB1", "https://127.0.0.1:9", 1.0)

    def said(**trust: Path) -> str:
        return refused(WEB_SECRET_UNREADABLE, replace(peer, trust=Trust(**trust)))

    assert "no such file" in said(ca_file=tmp_path / "none.pem")
    assert "PEM" in said(ca_file=no_pem)
    assert "0644" in said(certificate=node.certificate, key=loose)
    assert "PEM" in said(certificate=node.certificate, key=authority.pair.key)
    assert "no such file" in said(certificate=node.certificate, key=tmp_path / "none.key")


def test_a_key_with_a_passphrase_is_told_and_nobody_is_asked_for_it(
    tmp_path: Path, authority: Authority
) -> None:
    import subprocess

    node, locked = authority.issue("node", "node", "DNS"), tmp_path / "locked.key"
    command = ["openssl", "ec", "-aes256", "-passout", f"pass:{TOKEN}", "-in", str(node.key)]
    subprocess.run([*command, "-out", str(locked)], check=True, capture_output=True)
    locked.chmod(0o600)
    trust = Trust(certificate=node.certificate, key=locked)
    said = refused(WEB_SECRET_UNREADABLE, WebPeer("WEB1", "https://127.0.0.1:9", 1.0, trust=trust))
    assert "passphrase" in said


# ── tokens, redirects, and what a service says ──


@contextmanager
def service(
    answer: Callable[[BaseHTTPRequestHandler], None], login: Login, **server: ssl.SSLContext
) -> Iterator[tuple[WebPeer, list[str]]]:
    """A service that answers as `answer` does; what it got as Authorization."""
    got: list[str] = []

    def seen(request: BaseHTTPRequestHandler) -> None:
        got.append(request.headers.get("Authorization", ""))
        answer(request)

    with web_server(seen, **server) as peer:
        yield replace(peer, login=login), got


def status(code: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code, f"because of {TOKEN}")
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def test_a_token_is_read_anew_for_each_request(tmp_path: Path) -> None:
    file = written(tmp_path / "token", TOKEN)
    with service(status(204), Login(token=f"file:{file}")) as (peer, got):
        count_by_web(peer, BEFORE_UID)
        written(tmp_path / "later", "fresh").replace(file)
        count_by_web(peer, BEFORE_UID)
    assert got == [f"Bearer {TOKEN}"] * 2 + ["Bearer fresh"] * 2


@pytest.mark.parametrize(
    ("code", "fault", "words"),
    [
        (401, WEB_LOGIN_REFUSED, "does not take a bearer token"),
        (403, WEB_LOGIN_REFUSED, "a bearer token may not QIDO-RS there"),
        (500, WEB_FAILED, "status 500 Internal Server Error"),
        (302, WEB_FAILED, "another server"),
    ],
)
def test_what_a_service_says_is_not_repeated(tmp_path: Path, code: int, fault: Fault, words: str) -> None:
    login = Login(token=f"file:{written(tmp_path / 'token', TOKEN)}")
    with service(status(code, Location=f"https://other.example/{TOKEN}"), login) as (peer, _):
        assert words in refused(fault, peer)


def test_a_redirect_to_another_server_is_not_followed_and_the_login_stays(
    tmp_path: Path, authority: Authority
) -> None:
    login = Login(token=f"file:{written(tmp_path / 'token', TOKEN)}")
    with service(status(204), Login()) as (other, got):
        for location in (other.url, other.url.replace("http://", "//")):
            with service(status(307, Location=location), login) as (peer, _):
                said = refused(WEB_FAILED, peer)
            assert f"it redirects to {other.url.removesuffix('/dicom-web')}, another server" in said
        context = server_context(authority.issue("service"))
        with service(status(307, Location=other.url), login, context=context) as (peer, _):
            trusting = replace(peer, trust=Trust(ca_file=authority.pair.certificate))
            assert "another server" in refused(WEB_FAILED, trusting)
    assert got == []


def test_a_redirect_on_the_same_server_is_followed_with_the_login(tmp_path: Path) -> None:
    login = Login(token=f"file:{written(tmp_path / 'token', TOKEN)}")
    asked: list[str] = []

    def moved(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        to = request.path.replace("/dicom-web/", "/moved/")
        status(204 if to == request.path else 301, Location=to)(request)

    with service(moved, login) as (peer, got):
        assert count_by_web(peer, BEFORE_UID).series == {}
    assert asked[1] == asked[0].replace("/dicom-web/", "/moved/")
    assert set(got) == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("location", ["/dicom-web/round", "", "http://[", "ftp://127.0.0.1/"])
def test_a_redirect_to_nowhere_ends(location: str) -> None:
    with service(status(302, Location=location), Login()) as (peer, got):
        assert "redirects" in refused(WEB_FAILED, peer)
    assert len(got) <= 6


@pytest.mark.parametrize("login", [{"user": "u"}, {"password": "file:/p"}, {"user": "u", "token": "file:/t"}])
def test_half_a_login_and_two_are_none(login: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="Login"):
        Login(**login)


def test_a_login_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="must not hold a login") as caught:
        WebPeer("WEB1", f"https://node:{TOKEN}@pacs.example")
    assert TOKEN not in str(caught.value)
