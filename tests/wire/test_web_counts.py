"""The count of a study by QIDO-RS at services that give few matches at a time: right, or none at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pydicom
import pytest

from dicomnode.faults import FETCH_LATE, WEB_FAILED, NodeError
from dicomnode.net import FetchLimits, Meter, WebPeer, count_by_web, dicomweb
from tests.wire.earlier import NOW_UID, SLICES, dicomweb_plugin, examination, fill, web_server
from tests.wire.peers import orthanc

pytestmark = pytest.mark.wire

STUDY = "1.2.3"
SERIES = {f"{STUDY}.{number}": number + 1 for number in range(7)}
IMAGES = sum(SERIES.values())


@dataclass
class Service:
    """A QIDO-RS service of `SERIES`. most: matches of one answer; whole: what it says of the study."""

    most: int = 1000
    warns: bool = True
    by_offset: bool = True
    counted: bool = True  # whether series have their number of instances
    whole: int | None = None
    none: int = 204  # what it says where nothing is, or is left
    longest: int = 1000  # page that may be asked for
    asked: list[str] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        place = urlsplit(request.path)
        self.asked.append(request.path)
        asked = {name: values[0] for name, values in parse_qs(place.query).items()}
        there = self.matches(place.path)
        begin = int(asked.get("offset", "0")) if self.by_offset else 0
        size = int(asked.get("limit", self.most))
        given = there[begin : begin + min(self.most, size)]
        rest = len(there) - begin - len(given)
        body = json.dumps(given).encode()
        request.send_response(400 if size > self.longest else 200 if given else self.none)
        if rest > 0 and self.warns:
            warning = f"299 service: There are {rest} additional results that can be requested"
            request.send_header("Warning", warning)
        request.send_header("Content-Length", str(len(body) if given else 0))
        request.end_headers()
        request.wfile.write(body if given else b"")

    def matches(self, path: str) -> list[dict[str, Any]]:
        parts = path.removeprefix("/dicom-web/").split("/")
        if parts[-1] == "studies":
            of_study = {"0020000D": uid(STUDY)}
            return [of_study if self.whole is None else {**of_study, "00201208": count(self.whole)}]
        if parts[-1] == "series":
            return [
                {"0020000E": uid(one), **({"00201209": count(n)} if self.counted else {})}
                for one, n in SERIES.items()
            ]
        return [{"00080018": uid(f"{parts[-2]}.{number}")} for number in range(SERIES[parts[-2]])]


def uid(value: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [value]}


def count(value: int) -> dict[str, Any]:
    return {"vr": "IS", "Value": [value]}


def many(number: int) -> list[dict[str, Any]]:
    return [{"0020000E": uid(f"{STUDY}.{one}"), "00201209": count(1)} for one in range(number)]


@contextmanager
def served(service: Service) -> Iterator[WebPeer]:
    with web_server(service.answer, timeout_s=5.0) as peer:
        yield peer


@pytest.mark.parametrize("whole", [None, IMAGES])
@pytest.mark.parametrize("counted", [True, False], ids=["by its count", "by listing"])
@pytest.mark.parametrize("warns", [True, False], ids=["with a warning", "without a word"])
@pytest.mark.parametrize("most", [1, 3, 7, 1000])
def test_a_service_that_gives_few_at_a_time_is_asked_until_nothing_new_comes(
    most: int, warns: bool, counted: bool, whole: int | None
) -> None:
    with served(Service(most=most, warns=warns, counted=counted, whole=whole)) as peer:
        assert count_by_web(peer, STUDY).series == SERIES


@pytest.mark.parametrize("counted", [True, False], ids=["by its count", "by listing"])
@pytest.mark.parametrize("most", [1, 3, 7])
def test_a_service_that_says_404_behind_its_last_answer_is_counted(most: int, counted: bool) -> None:
    with served(Service(most=most, counted=counted, none=404)) as peer:
        assert count_by_web(peer, STUDY).series == SERIES


@pytest.mark.parametrize("none", [204, 404])
def test_a_study_that_a_service_does_not_know_has_no_series(none: int) -> None:
    class Empty(Service):
        def matches(self, path: str) -> list[dict[str, Any]]:
            self.none = 204 if path.endswith("/studies") else none
            return []

    with served(Empty()) as peer:
        assert count_by_web(peer, STUDY).series == {}


@pytest.mark.parametrize(
    "missing", ["/studies", "/instances"], ids=["a wrong address", "the instances of a series that it told"]
)
def test_a_service_that_misses_what_must_be_there_gives_no_count(missing: str) -> None:
    class Partial(Service):
        def matches(self, path: str) -> list[dict[str, Any]]:
            return [] if path.endswith(missing) else super().matches(path)

    with served(Partial(counted=False, none=404)) as peer, pytest.raises(NodeError) as caught:
        count_by_web(peer, STUDY)
    assert caught.value.fault is WEB_FAILED
    assert "404" in str(caught.value)


def test_a_service_that_has_more_and_says_404_to_the_offset_gives_no_count() -> None:
    class First(Service):
        def matches(self, path: str) -> list[dict[str, Any]]:
            there = super().matches(path)
            return [] if "offset" in self.asked[-1] and path.endswith("/series") else there

    with served(First(most=3, none=404)) as peer, pytest.raises(NodeError) as caught:
        count_by_web(peer, STUDY)
    assert caught.value.fault is WEB_FAILED
    assert "more answers than it gives" in str(caught.value)


@pytest.mark.parametrize("most", [3, 200])
def test_a_service_that_refuses_a_long_page_is_asked_for_one_as_it_likes(most: int) -> None:
    service = Service(most=most, longest=200)
    with served(service) as peer:
        assert count_by_web(peer, STUDY).series == SERIES


def test_a_service_that_refuses_every_question_is_asked_twice() -> None:
    service = Service(longest=0)
    with served(service) as peer, pytest.raises(NodeError) as caught:
        count_by_web(peer, STUDY)
    assert "400" in str(caught.value)
    assert len(service.asked) == 2


def test_a_service_that_ignores_the_offset_and_gives_all_is_believed() -> None:
    with served(Service(by_offset=False)) as peer:
        assert count_by_web(peer, STUDY).series == SERIES


@pytest.mark.parametrize(
    ("service", "words"),
    [
        (Service(most=3, by_offset=False), "more answers than it gives"),
        (Service(most=3, by_offset=False, warns=False, whole=IMAGES), f"of {IMAGES} images of the study"),
        (Service(most=3, by_offset=False, warns=False, counted=False, whole=IMAGES), "it lists 6"),
    ],
    ids=["it warns", "it says how many the study has", "it lists some of each"],
)
def test_a_service_that_cuts_off_its_answer_and_ignores_the_offset_gives_no_count(
    service: Service, words: str
) -> None:
    with served(service) as peer, pytest.raises(NodeError) as caught:
        count_by_web(peer, STUDY)
    assert caught.value.fault is WEB_FAILED
    assert words in str(caught.value)


def test_a_service_with_more_than_any_study_has_is_left() -> None:
    class Endless(Service):
        def matches(self, path: str) -> list[dict[str, Any]]:
            return many(5000) if path.endswith("/series") else []

    service = Endless(most=400)
    with served(service) as peer, pytest.raises(NodeError) as caught:
        count_by_web(peer, STUDY)
    assert "more than 1000 answers" in str(caught.value)
    assert len(service.asked) < 8


def test_pages_without_end_end_in_the_time_of_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(Service):
        def matches(self, path: str) -> list[dict[str, Any]]:
            return many(900) if path.endswith("/series") else []

    monkeypatch.setattr(dicomweb, "_QUERY_S", 0.05)
    with served(Endless(most=1)) as peer, pytest.raises(NodeError) as caught:
        count_by_web(peer, STUDY)
    assert caught.value.fault is WEB_FAILED
    assert "did not end within 0.25 s" in str(caught.value)
    meter = Meter("WEB1", FetchLimits(seconds=0.2))
    with served(Endless(most=1)) as peer, pytest.raises(NodeError) as caught:
        dicomweb.query(peer, f"studies/{STUDY}/series", {}, limit=1000, meter=meter)
    assert caught.value.fault is FETCH_LATE


# ── Orthanc with its DICOMweb plug-in ──


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A study of five series of eight images."""
    folder = tmp_path_factory.mktemp("study")
    files = []
    for path in examination(folder, NOW_UID, "20260601"):
        image = pydicom.dcmread(path)
        first = str(image.SOPInstanceUID)
        for number in range(5):
            image.SeriesInstanceUID, image.SOPInstanceUID = f"{NOW_UID}.{number}", f"{first}.{number}"
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            files.append(folder / f"{image.SOPInstanceUID}.dcm")
            image.save_as(files[-1])
    return files


@contextmanager
def web_orthanc(folder: Path, files: list[Path], **settings: object) -> Iterator[WebPeer]:
    folder.mkdir()
    given = {"Plugins": [str(dicomweb_plugin())], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with orthanc(folder, **given, **settings) as server:
        fill(server, files)
        yield WebPeer("WEB1", f"http://127.0.0.1:{server.http_port}/dicom-web", 10.0)


def test_orthanc_is_counted_page_by_page(
    tmp_path: Path, study: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicomweb, "_PAGE", 2)
    with web_orthanc(tmp_path / "o", study) as peer:
        assert count_by_web(peer, NOW_UID).series == {f"{NOW_UID}.{n}": SLICES for n in range(5)}
        assert count_by_web(peer, "1.2.3.999").series == {}


def test_orthanc_with_a_limit_of_results_gives_no_wrong_count(tmp_path: Path, study: list[Path]) -> None:
    """It cuts off without a warning, and the offset reaches no further: only the study tells how many."""
    with web_orthanc(tmp_path / "o", study, LimitFindResults=2) as peer, pytest.raises(NodeError) as caught:
        count_by_web(peer, NOW_UID)
    assert caught.value.fault is WEB_FAILED
    assert "of 40 images of the study it lists 24" in str(caught.value)
