"""The folder of a generator: generator.toml, its weights, and its training images reduced.

No engine: nothing in it analyses a study, and `load_package` refuses it. All files are named with their
digests in generator.toml.
"""

from __future__ import annotations

import hashlib
import io
import re
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from dicomnode.engine.adding.folders import put_in_place, staged_folder
from dicomnode.engine.adding.toml_text import toml_text
from dicomnode.evaluate.dataset.images import SIDE
from dicomnode.faults import ENGINE_NOT_WRITTEN, GENERATOR_WRONG, NodeError
from dicomnode.learn.generate.generator_copies import Known
from dicomnode.learn.generate.generator_form import ImageForm

GENERATOR_FILE: Final = "generator.toml"
WEIGHTS_FILE: Final = "weights.pt"
KNOWN_FILE: Final = "known.npz"
SCHEMA: Final = 1
_SHORT: Final = 8  # hex digits of a digest that tell generators apart
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST: Final = 64  # characters of a version
_MOST_LEVELS: Final = 7
_MOST_STEPS: Final = 100_000
_MOST_WIDTH: Final = 1024  # of one that is read: another would ask for all memory
_MOST_BYTES: Final = 4 << 30  # of a file, and of what it holds unpacked: it is read whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How the network was built, and how it draws. labels: classes it draws, of a column; () of any kind.

    noise_steps: from an image to noise; draw_steps: back. Raises ValueError.
    """

    width: int
    levels: int
    noise_steps: int
    draw_steps: int
    column: str = ""
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, holds in (
            ("width", self.width >= 1),
            ("levels", 2 <= self.levels <= _MOST_LEVELS),
            ("noise_steps", 2 <= self.noise_steps <= _MOST_STEPS),
            ("draw_steps", 1 <= self.draw_steps <= self.noise_steps),
            ("labels", all(isinstance(one, str) for one in (self.column, *self.labels))),
        ):
            if not holds:
                raise ValueError(f"Network.{name} cannot be {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Generator:
    """A generator as it lies on disk, verified.

    digest: SHA-256 over generator.toml, 64 hex digits, which names the others'. threshold: distance up to
    which a drawing is too near to a training image. patients, images: that it has learned from; synthetic:
    how many of its cases were of nobody. Raises ValueError.
    """

    folder: Path
    name: str
    version: str
    title: str
    digest: str
    form: ImageForm
    network: Network
    known: Known
    threshold: float
    patients: int
    images: int
    synthetic: int
    weights: bytes

    def __post_init__(self) -> None:
        for name, holds in (
            ("name", _NAME.fullmatch(self.name) is not None),
            ("version", 0 < len(self.version) <= _LONGEST and self.version.isprintable()),
            ("title", len(self.title) > 0 and self.title.isprintable()),
            ("threshold", 0.0 <= self.threshold < 1.0),
            ("images", min(self.patients, self.images, self.synthetic) >= 0),
        ):
            if not holds:
                raise ValueError(f"Generator.{name} cannot be {getattr(self, name)!r}")

    @property
    def mark(self) -> str:
        """Name, version and digest: what tells it from all others."""
        return f"{self.name} {self.version} {self.digest[:_SHORT]}"


def write_generator(
    folder: Path, table: Mapping[str, Any], weights: bytes, known: Known, files: Mapping[str, bytes]
) -> Generator:
    """Write the folder, which appears whole or not; what lies there makes way.

    table: name, version, title, threshold, patients, images, synthetic, [image] and [network]. files: what
    lies beside, for people. Raises NodeError(ENGINE_NOT_WRITTEN).
    """
    own = {WEIGHTS_FILE: weights, KNOWN_FILE: _known_bytes(known)}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in own.items()}
    said = toml_text(
        {"schema": SCHEMA, **table, "files": digests}, f"{table['title']}. It draws images and analyses none."
    )
    try:
        with staged_folder(folder, {**files, **own, GENERATOR_FILE: said.encode()}) as staged:
            read_generator(staged)
            put_in_place(staged, folder)
    except OSError as error:
        raise NodeError(ENGINE_NOT_WRITTEN, path=folder, error=error.strerror or str(error)) from error
    return read_generator(folder)


def read_generator(folder: Path) -> Generator:
    """Read and verify a generator. Raises NodeError(GENERATOR_WRONG)."""
    content = _read(folder, GENERATOR_FILE)
    try:
        table = tomllib.loads(content.decode("utf-8"))
        _require_schema(table["schema"])
        found = {name: _verified(folder, name, table["files"][name]) for name in (WEIGHTS_FILE, KNOWN_FILE)}
        return Generator(
            folder=folder,
            name=str(table["name"]),
            version=str(table["version"]),
            title=str(table["title"]),
            digest=hashlib.sha256(content).hexdigest(),
            form=_form(table["image"]),
            network=_network(table["network"]),
            known=_known(found[KNOWN_FILE]),
            threshold=float(table["threshold"]),
            patients=int(table["patients"]),
            images=int(table["images"]),
            synthetic=int(table["synthetic"]),
            weights=found[WEIGHTS_FILE],
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise NodeError(
            GENERATOR_WRONG, path=folder, reason=f"a file of it cannot be read ({error})"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{GENERATOR_FILE} lacks something, or has it in another form: {str(error).rstrip('.')}"
        raise NodeError(GENERATOR_WRONG, path=folder, reason=reason) from error


def image_table(form: ImageForm) -> dict[str, Any]:
    """Return [image] of generator.toml."""
    return {
        "kind": form.kind,
        "sop_class_uid": form.sop_class_uid,
        "modality": form.modality,
        "colour": form.colour,
        "side": form.side,
        "low": form.low,
        "high": form.high,
        "bits": form.bits,
        "spacing_mm": None if form.spacing_mm is None else list(form.spacing_mm),
        "thickness_mm": form.thickness_mm,
        "attributes": dict(form.attributes),
    }


def _require_schema(schema: object) -> None:
    if schema != SCHEMA:
        raise ValueError(f"its schema is {schema!r}, not {SCHEMA}")


def _form(table: Mapping[str, Any]) -> ImageForm:
    spacing = table.get("spacing_mm")
    return ImageForm(**{**table, "spacing_mm": None if spacing is None else tuple(spacing)})


def _network(table: Mapping[str, Any]) -> Network:
    made = Network(**{**table, "labels": tuple(table.get("labels", ()))})
    if made.width > _MOST_WIDTH:
        raise ValueError(f"Network.width cannot be {made.width}")
    return made


def _known_bytes(known: Known) -> bytes:
    content = io.BytesIO()
    np.savez(content, reduced=known.reduced, names=np.array(known.names, dtype=np.str_))
    return content.getvalue()


def _known(content: bytes) -> Known:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(one.file_size for one in archive.infolist()) > _MOST_BYTES:
            raise ValueError(f"{KNOWN_FILE} is too large")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        reduced, names = arrays["reduced"], tuple(str(one) for one in arrays["names"])
    if reduced.dtype != np.uint8 or reduced.shape != (len(names), SIDE, SIDE) or not names:
        raise ValueError(f"{KNOWN_FILE} holds {reduced.shape} of {reduced.dtype}")
    return Known(names=names, reduced=reduced)


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if path.exists() and not (path.is_file() and path.stat().st_size <= _MOST_BYTES):
            raise NodeError(GENERATOR_WRONG, path=folder, reason=f"{name} is no file of at most 4 GiB")
        return path.read_bytes()
    except OSError as error:
        raise NodeError(GENERATOR_WRONG, path=folder, reason=f"{name}: {error.strerror or error}") from error


def _verified(folder: Path, name: str, digest: str) -> bytes:
    content = _read(folder, name)
    if hashlib.sha256(content).hexdigest() != digest:
        raise NodeError(
            GENERATOR_WRONG, path=folder, reason=f"{name} is not the one that it was written with"
        )
    return content
