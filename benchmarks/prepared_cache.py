# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Prepared images against DICOM files: how fast they are made, how fast they are read, and in how much memory.

Speed, on large 12 bit images, for each transfer syntax that can be written and read here, with the same number of
loader processes: pydicom's bare decode (``dcmread(path).pixel_array``), the shipped preprocessing alone (both throw the
pixels away), and preparing (the preprocessing, into an empty folder); then epochs over the folder in shuffled batches,
in a single process. They alternate, on the same files, which the system keeps in memory after the first time.

Memory, on small images: the most anonymous memory (which excludes pages of mapped files) that the process and its
loader processes hold together while it prepares the images and reads them once.

There are only a few really different images, to which many names link.

    python benchmarks/prepared_cache.py --out docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader
from page import opening, publish, spread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from monai_semise.data import PreparedDataset, make_phantom

CONFIG = Path(__file__).parents[1] / "bundles" / "semise_pretrain.json"
SYNTAXES = {"uncompressed": ExplicitVRLittleEndian, "RLE": RLELossless, "JPEG 2000": JPEG2000Lossless}
DISTINCT = 20
PHANTOM_SIZE = 256


def write_dicom(path: Path, pixels: np.ndarray, syntax: str) -> None:
    """Write a 12 bit image; raises RuntimeError when pydicom has no encoder for the transfer syntax."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    dataset.set_pixel_data(pixels, "MONOCHROME2", 12)
    if syntax != ExplicitVRLittleEndian:
        dataset.compress(syntax)
    dataset.save_as(path, enforce_file_format=True)


def make_files(folder: Path, count: int, size: int, syntax: str) -> list[str]:
    """``count`` names of images of ``size`` pixels: phantoms with as much noise as a radiograph has."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    scale = -(-size // PHANTOM_SIZE)
    names = [folder / f"{n:06d}.dcm" for n in range(count)]
    for n in range(min(count, DISTINCT)):
        phantom, _ = make_phantom(n % 5, PHANTOM_SIZE, random)
        image = np.kron(phantom, np.ones((scale, scale), dtype=np.float32))[:size, :size]
        noisy = image * 3800 + random.normal(scale=8, size=image.shape) + 100
        write_dicom(names[n], np.clip(noisy, 0, 4095).astype(np.uint16), syntax)
    for n in range(DISTINCT, count):
        os.link(names[n % DISTINCT], names[n])
    return [str(name) for name in names]


class Work(torch.utils.data.Dataset):
    """Does something with each of ``things`` in a loader process, and gives nothing."""

    def __init__(self, things: Sequence[Any], work: Callable[[Any], Any]) -> None:
        self.things = things
        self.work = work

    def __len__(self) -> int:
        return len(self.things)

    def __getitem__(self, index: int) -> int:
        self.work(self.things[index])
        return 0


def decode(file: str) -> None:
    """pydicom's bare decode."""
    _ = pydicom.dcmread(file).pixel_array


def items_of(files: Sequence[str]) -> list[dict[str, Any]]:
    """Datalist items of image files."""
    return [{"image": file, "severity": n % 5, "index": n} for n, file in enumerate(files)]


def shipped_preprocessing(image_size: int) -> Callable:
    """That of the pretraining bundle."""
    parser = ConfigParser()
    parser.read_config(str(CONFIG))
    parser["image_size"] = image_size
    return parser.get_parsed_content("train::preprocessing")


def rate(count: int, work: Callable[[], Any]) -> float:
    """Images a second."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def measure_speed(files: Sequence[str], arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Images a second of bare decode, preprocessing alone, preparing, and reading what was prepared."""
    workers, transform, items = arguments.num_workers, shipped_preprocessing(arguments.image_size), items_of(files)

    def in_processes(things: Sequence[Any], work: Callable[[Any], Any]) -> float:
        loader = DataLoader(Work(things, work), batch_size=1, num_workers=workers)
        return rate(len(things), lambda: list(loader))

    def prepare() -> None:
        PreparedDataset(items, transform, folder, num_workers=workers, progress=False)

    found = {
        "bare": in_processes(files, decode),
        "alone": in_processes(items, transform),
        "preparing": rate(len(files), prepare),
    }
    images = PreparedDataset(items, transform, folder)

    def read() -> None:
        for _ in range(arguments.epochs):
            for batch in DataLoader(images, batch_size=32, shuffle=True):
                batch["image"].sum()

    return {**found, "reading": rate(len(files) * arguments.epochs, read)}


def anonymous_memory(pid: int | str) -> float:
    """Anonymous memory of a process in MB, what it shares with others in equal parts; 0 when it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(size) for size in re.findall(r"^Pss_(?:Anon|Shmem): +(\d+) kB", text, re.MULTILINE)) / 1e3


def memory_with_children() -> float:
    """Anonymous memory of this process and its children in MB."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return sum(map(anonymous_memory, [os.getpid(), *children]))


@contextmanager
def peak_memory(result: dict[str, float]) -> Iterator[None]:
    """Sample the memory, and keep the largest as ``result["peak"]``."""
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(0.1):
            result["peak"] = max(result.get("peak", 0), memory_with_children())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def measure_memory(files: Sequence[str], folder: Path, num_workers: int) -> dict[str, float]:
    """Peak memory in MB of preparing and reading images; to be called in a fresh process."""
    multiprocessing.set_start_method("fork", force=True)  # of the loader processes, as it is on Linux
    items = items_of(files)
    transform = shipped_preprocessing(64)
    transform(items[0])  # what is loaded at first use does not count
    result = {"before": memory_with_children()}
    with peak_memory(result):
        images = PreparedDataset(items, transform, folder, num_workers=num_workers, progress=False)
        for batch in DataLoader(images, batch_size=32, shuffle=True):
            batch["image"].sum()
        time.sleep(0.3)
    result["after"] = memory_with_children()
    result["array"] = (folder / "image.npy").stat().st_size / 1e6
    return result


def report(
    arguments: argparse.Namespace, speed: dict[str, list[dict[str, float]]], memory: dict[int, dict[str, float]]
) -> str:
    """The section, in Markdown."""

    def cell(rounds: list[dict[str, float]], name: str, to: str = "", digits: int = 1) -> str:
        values = [found[name] / found[to] if to else found[name] for found in rounds]
        return spread(values, digits)

    workers = arguments.num_workers
    lines = [
        *opening(
            "Prepared images",
            f"Images a second with {workers} processes, but for later epochs, which a single process reads in shuffled "
            f"batches; median (smallest to largest) over {arguments.rounds} rounds. Preprocessing is the shipped one, "
            f"to {arguments.image_size} px; preparing writes what it gives, 16 bit. Files were in the system's cache.",
            f"pydicom {pydicom.__version__}",
            f"{arguments.images} images of {arguments.size} x {arguments.size} px, 12 bit",
        ),
        "| DICOM files | pydicom's bare decode | preprocessing alone | preparing | later epochs |",
        "|---|---|---|---|---|",
    ]
    for label, rounds in speed.items():
        cells = [cell(rounds, name, digits=0 if name == "reading" else 1) for name in rounds[0]]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    lines += [
        "",
        "| DICOM files | preparing / bare decode | preparing / preprocessing alone | later epochs / bare decode |",
        "|---|---|---|---|",
    ]
    for label, rounds in speed.items():
        cells = [cell(rounds, "preparing", "bare", 2), cell(rounds, "preparing", "alone", 2)]
        lines.append(f"| {label} | {' | '.join(cells)} | {cell(rounds, 'reading', 'bare', 0)} |")
    absent = [label for label in SYNTAXES if label not in speed]
    if absent:
        lines += ["", f"Not measured, for want of an encoder: {', '.join(absent)}."]
    lines += [
        "",
        "Goal: later epochs at 10 times the rate of DICOM or more.",
        "",
        f"Memory while images of {arguments.small_size} px are prepared with {workers} processes, which it includes, "
        "and read once; above that of the program and the list of items.",
        "",
        "| images | arrays on disk | most memory | in the end |",
        "|---|---|---|---|",
    ]
    for count, found in memory.items():
        peak, after = found["peak"] - found["before"], found["after"] - found["before"]
        lines.append(f"| {count:,} | {found['array']:.0f} MB | + {peak:.0f} MB | + {after:.0f} MB |")
    least, most = min(memory), max(memory)
    if least < most:
        grown = [memory[count]["peak"] - memory[count]["before"] for count in (least, most)]
        share = (grown[1] - grown[0]) / (most - least) * 1e6
        lines += ["", f"It grows by {share:.0f} bytes an image: digests of file names and row numbers, no pixels."]
    lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=100, help="images in the measurement of speed")
    parser.add_argument("--size", type=int, default=1500, help="their pixels along each axis")
    parser.add_argument("--image_size", type=int, default=224, help="pixels along each axis after preprocessing")
    parser.add_argument("--epochs", type=int, default=5, help="epochs that are read a round")
    parser.add_argument("--num_workers", type=int, default=os.cpu_count(), help="processes that decode")
    parser.add_argument("--small_size", type=int, default=64, help="pixels in the measurement of memory")
    parser.add_argument("--counts", type=int, nargs="+", default=[10**3, 10**4, 10**5], help="images in it")
    parser.add_argument("--out", type=Path, help="Markdown file whose section to replace; printed otherwise")
    arguments = parser.parse_args()
    speed: dict[str, list[dict[str, float]]] = {}
    memory: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, syntax in SYNTAXES.items():
            try:
                files = make_files(folder / label, arguments.images, arguments.size, syntax)
            except RuntimeError as error:
                print(f"{label}: {error}", file=sys.stderr)
                continue
            speed[label] = []
            for n in range(arguments.rounds):
                speed[label].append(measure_speed(files, arguments, folder / f"prepared {label} {n}"))
                print(label, json.dumps(speed[label][-1]), file=sys.stderr)
        for count in arguments.counts:
            files = make_files(folder / f"{count}", count, arguments.small_size, ExplicitVRLittleEndian)
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
                place = folder / f"prepared {count}"
                memory[count] = fresh.submit(measure_memory, files, place, arguments.num_workers).result()
            print(count, json.dumps(memory[count]), file=sys.stderr)
    publish(report(arguments, speed, memory), arguments.out)


if __name__ == "__main__":
    main()
