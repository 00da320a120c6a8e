"""A segmentation over its CT as a viewer draws them: cornerstone, as in OHIF, in headless Chromium.

The CT is brighter where something is, so the picture of the CT alone says where the segments must lie in the
other; and where they are in pixels follows from their masks.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset

from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Findings
from tests.judges.cases import apart
from tests.judges.cornerstone_judges import ADAPTERS
from tests.unit.report.sources import SALT, Series, findings, lung_segments, masks, part_10

pytestmark = [pytest.mark.judge, pytest.mark.long, pytest.mark.xdist_group("viewer"), pytest.mark.cornerstone]

_BUNDLER = ADAPTERS / "node_modules" / ".bin" / "esbuild"
_DEADLINE_S = 120.0
_SIZE = (490, 400)  # of the viewport: pixels of 0.7 × 0.8 mm become 17.5 × 20
_AT = 6  # the slice that is looked at
_STEP_HU = 300  # from one segment to the next
_PAGE = f"""<!doctype html><meta charset="utf-8"><title>viewer</title>
<div id="viewport" style="width:{_SIZE[0]}px;height:{_SIZE[1]}px"></div>
<script type="module" src="viewer.js"></script>
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The viewer as one file that a browser takes."""
    if shutil.which("chromium") is None or not _BUNDLER.exists():
        pytest.skip("Chromium or cornerstone's tools are not installed (scripts/tools.sh judges)")
    made = tmp_path_factory.mktemp("viewer") / "viewer.js"
    command = [str(_BUNDLER), str(Path(__file__).with_name("viewer.mjs")), f"--outfile={made}", "--bundle"]
    command += ["--format=esm", "--platform=browser", "--define:global=globalThis", "--loader:.wasm=file"]
    done = subprocess.run(
        [*command, "--log-level=error"],
        capture_output=True,
        text=True,
        check=False,
        timeout=_DEADLINE_S,
        env={**os.environ, "NODE_PATH": str(ADAPTERS.resolve() / "node_modules")},
    )
    assert done.returncode == 0, done.stderr
    return made


@contextmanager
def _served(folder: Path) -> Iterator[tuple[str, list[dict], threading.Event]]:
    """The folder over HTTP on the loopback; what is posted is kept, and told by the event."""
    told: list[dict] = []
    heard = threading.Event()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object, **more: object) -> None:
            super().__init__(*arguments, directory=str(folder), **more)  # type: ignore[arg-type,misc]

        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            heard.set()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/index.html", told, heard
        finally:
            server.shutdown()
            thread.join()


def shown(folder: Path) -> dict:
    """What the page tells that the browser is sent to."""
    options = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run"]
    options += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking"]
    with _served(folder) as (url, told, heard):
        browser = subprocess.Popen(
            ["chromium", *options, f"--user-data-dir={folder / 'browser'}", url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(folder)},
        )
        try:
            heard.wait(_DEADLINE_S)
        finally:
            browser.terminate()
            browser.wait(30)
    assert told, "the page never said anything"
    assert "error" not in told[0], told[0]["error"]
    return told[0]


def bright(plane: str) -> Series:
    """A CT that is brighter where something is, by so much more for each segment."""
    series = Series(plane=plane)
    voxels = np.full(series.shape_kji, -600, dtype=np.int16)
    for n, mask in enumerate(masks(series.shape_kji).values(), start=1):
        voxels[mask] = -600 + n * _STEP_HU

    def edit(ds: Dataset, k: int) -> None:
        ds.PixelData = voxels[k].tobytes()
        ds.WindowCenter, ds.WindowWidth = "0", "2000"

    return Series(plane=plane, edit=edit)


def _found(series: Series) -> Findings:
    grid = series.source().grid
    assert grid is not None
    return findings(series, segments=apart(lung_segments(grid), grid))


def picture(url: str) -> np.ndarray:
    """(rows, columns, RGB)."""
    with Image.open(BytesIO(b64decode(url.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def centroid(mask: np.ndarray) -> np.ndarray:
    """Column and row."""
    return np.argwhere(mask).mean(axis=0)[::-1]


@pytest.mark.parametrize("kind", ["SEG", "LABELMAP"])
@pytest.mark.parametrize("plane", ["axial", "oblique", "sagittal"])
def test_each_segment_is_drawn_in_its_colour_where_the_ct_shows_it(
    plane: str, kind: str, bundle: Path, tmp_path: Path
) -> None:
    series = bright(plane)
    found = _found(series)
    (made,) = make_objects(found, ReportProfile(kinds=(kind,)), SALT)  # type: ignore[arg-type]
    (tmp_path / "segmentation.dcm").write_bytes(made.content)
    names = [f"{k:02}.dcm" for k in range(series.shape_kji[0])]
    for name, ds in zip(names, series.datasets(), strict=True):
        (tmp_path / name).write_bytes(part_10(ds))
    wanted = {"images": names, "at": _AT, "segmentation": "segmentation.dcm"}
    (tmp_path / "wanted.json").write_text(json.dumps(wanted))
    (tmp_path / "index.html").write_text(_PAGE)
    shutil.copy(bundle, tmp_path / "viewer.js")
    told = shown(tmp_path)
    alone, over = picture(told["alone"]), picture(told["over"])
    for name in ("alone", "over"):
        (tmp_path / f"{name}.png").write_bytes(b64decode(told[name].partition(",")[2]))
    assert told["groups"] == 1  # no two segments overlap
    scale = np.array(_SIZE) / series.shape_kji[:0:-1]
    for n, segment in enumerate(found.segments, start=1):
        colour = np.array(told["colours"][str(n)])
        if segment.colour_rgb is not None:
            assert np.abs(colour - segment.colour_rgb).max() <= 3
        drawn = np.abs(over - colour).max(axis=-1) <= 6
        grey = round((-600 + n * _STEP_HU + 1000) / 2000 * 255)
        seen = np.abs(alone - grey).max(axis=-1) <= 4
        both = 2 * (drawn & seen).sum() / (drawn.sum() + seen.sum())
        assert both > 0.98, segment.label
        mask = segment.mask.to_array()[_AT]
        assert np.abs(centroid(drawn) - ((centroid(mask) + 0.5) * scale - 0.5)).max() < 1.5, segment.label
        assert drawn.sum() == pytest.approx(mask.sum() * scale.prod(), rel=0.03)
