from __future__ import annotations

import subprocess
import sys

import pytest

import dicomnode.deliver
import dicomnode.net
from dicomnode.net import Peer, is_ae_title


@pytest.mark.parametrize(
    ("title", "may_be"),
    [
        ("A", True),
        ("DICOMNODE", True),
        ("SIXTEEN_CHARS_XY", True),
        ("  PADDED  ", True),
        ("WITH SPACE", True),
        ("", False),
        ("    ", False),
        ("SEVENTEEN_CHARS_X", False),
        ("BACK\\SLASH", False),
        ("TAB\tTAB", False),
        ("RÖNTGEN", False),
    ],
)
def test_an_ae_title_is_checked_as_the_standard_says(title: str, may_be: bool) -> None:
    assert is_ae_title(title) is may_be


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"ae_title": ""}, "ae_title"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
        ({"timeout_s": float("inf")}, "timeout_s"),
    ],
)
def test_a_peer_that_cannot_be_is_refused(change: dict[str, object], word: str) -> None:
    values: dict[str, object] = {"name": "PACS1", "ae_title": "PACS", "host": "10.0.0.1", "port": 104}
    Peer(**values)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=word):
        Peer(**{**values, **change})  # type: ignore[arg-type]


def test_the_faces_of_net_and_deliver_load_no_heavy_library() -> None:
    code = (
        "import sys, dicomnode.net, dicomnode.deliver\n"
        "from dicomnode.net import Peer, status_text\n"
        "from dicomnode.deliver import next_try_s\n"
        "print([name for name in ('pynetdicom', 'pydicom', 'numpy') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_each_name_of_the_faces_is_there() -> None:
    for face in (dicomnode.net, dicomnode.deliver):
        for name in face.__all__:
            assert callable(getattr(face, name)), name
        with pytest.raises(AttributeError):
            face.nothing_of_this_name  # noqa: B018
