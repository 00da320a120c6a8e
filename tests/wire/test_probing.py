"""`dicomnode check --probe`: whether each destination is there, and what it would get."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dicomnode.report.choice import SOP_CLASSES
from tests.unit.cli.test_commands import run  # noqa: F401  fixtures
from tests.wire.earlier import web_server
from tests.wire.peers import EXPLICIT_LE, VERIFICATION, free_port, store_scp
from tests.wire.test_destinations import destination

pytestmark = pytest.mark.wire

BOTH = (EXPLICIT_LE, "1.2.840.10008.1.2")


def taking(kinds: str) -> Any:
    """An archive that takes these kinds of objects."""
    return store_scp(contexts=[(uid, BOTH) for uid in (VERIFICATION, *map(class_of, kinds.split()))])


def class_of(kind: str) -> str:
    return SOP_CLASSES[kind]  # type: ignore[index]


def test_check_tells_what_each_destination_would_get(tmp_path: Path, run: Any) -> None:  # noqa: F811
    share = tmp_path / "share"
    share.mkdir()
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(taking(kinds)).peer.port
            for name, kinds in {"all": "SEG SR", "old": "SR GSPS", "strict": "SR", "none": "PM"}.items()
        }
        web = stack.enter_context(web_server(answers_nothing))
        tables = [
            *(line for name, port in ports.items() for line in dimse(name, port, fallback=name != "strict")),
            *dimse("dead", free_port()),
            *destination("share", folder=str(share)),
            *destination("unmounted", folder=str(tmp_path / "gone")),
            *destination("web", url=web.url),
            *destination("web-dead", url=f"http://127.0.0.1:{free_port()}/dicom-web"),
            *destination("back", to_sender=True),
        ]
        config = written(tmp_path, tables)
        status, told, _ = run("check", "--config", config, "--probe", "--json")
        _, shown, _ = run("check", "--config", config, "--probe")
    assert status == 13
    found = {one["name"]: one for one in json.loads(told)["destinations"]}
    assert {name: (one["gets"], one["instead"]) for name, one in found.items()} == {
        "all": (["SEG", "SR"], {}),
        "old": (["SR", "GSPS"], {"SEG": "GSPS"}),
        "strict": (["SR"], {"SEG": None}),
        "none": ([], {"SEG": None, "SR": None}),
        "dead": (None, {}),
        "share": (["SEG", "SR"], {}),
        "unmounted": (None, {}),
        "web": (None, {}),
        "web-dead": (None, {}),
        "back": (None, {}),
    }
    codes = {name: one["problem"] and one["problem"].split()[0] for name, one in found.items()}
    assert {name: code for name, code in codes.items() if code} == {
        "strict": "DN-2003",
        "none": "DN-2601",
        "dead": "DN-2001",
        "unmounted": "DN-2605",
        "web-dead": "DN-2540",
    }
    assert "GSPS instead of SEG" in " ".join(shown.split())


def answers_nothing(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "2")
    handler.send_header("Content-Type", "application/dicom+json")
    handler.end_headers()
    handler.wfile.write(b"[]")


def dimse(name: str, port: int, *, fallback: bool = True) -> list[str]:
    return destination(name, ae_title="ARCHIVE", host="127.0.0.1", port=port, fallback=fallback)


def written(folder: Path, tables: list[str]) -> Path:
    (folder / "store").mkdir()
    lines = ["schema = 1", "[receive]", "port = 0", "[store]", f"path = {json.dumps(str(folder / 'store'))}"]
    lines += ["reserve_gb = 0.1", "[[sender]]", 'ae_title = "SCANNER"', "[[engine]]", 'name = "lung-ct"']
    config = folder / "dicomnode.toml"
    config.write_text("\n".join([*lines, *tables]))
    return config
