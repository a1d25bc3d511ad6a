# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import gc
import os
import pickle
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, Randomizable, RandomizableTrait
from monai.utils import ensure_tuple
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from monai_semise.data.array_store import ArrayStore
from monai_semise.data.describe_transform import describe_transform
from monai_semise.data.preparation import Preparation, Prepared
from monai_semise.data.quantize import DTYPES
from monai_semise.data.row_table import RowTable, digest
from monai_semise.data.source_files import file_stamps, source_files
from monai_semise.utils import InputError, find_semise_error

__all__ = ["PreparedDataset"]

TRIED_FIRST = 20
"""When so many images fail in a row at the start, the settings are wrong rather than the images."""
SHOWN_FAILURES = 3
ITEMS_A_PART = 256
"""How many are decompressed at a time."""
SPOT_TOLERANCE = 0.01
"""By how much a kept image may differ from what the transform gives now, relative to its largest value: decoders and
interpolation differ a little between machines and versions, other preprocessing differs more."""


class PreparedDataset(Dataset):
    """Images decoded and preprocessed once into memory-mapped arrays of fixed size, which every later epoch reads.

    Making the dataset decodes what the folder does not hold yet, in parallel: all images the first time; later new
    ones, and those whose file (or series folder) changed in size or modification time. A run that is killed and started
    again goes on where it was. Datasets with the same transform can share a folder; processes that fill it at the same
    time take turns. Rows of changed or removed files stay until the folder is deleted. For the files in the folder see
    :class:`monai_semise.data.array_store.ArrayStore`.

    (MONAI's ``PersistentDataset`` and ``LMDBDataset`` do not notice a changed file, decode again when any field of an
    item changes, and unpickle each item they give.)

    Rows made with another transform are never served: the folder keeps a description of the transform, and the first
    image is decoded anew and compared each time.

    An item is what ``transform`` gives, but for metadata (tensors are plain) and for rounding: floating point tensors
    come back as float32, rounded to ``dtype``; tensors of whole numbers or truth values (masks) as they were. Fields
    other than ``keys`` come from ``data``, so that a corrected grade needs no decoding.

    Args:
        data: dictionaries, such as datalist items.
        transform: deterministic; turns an item into a dictionary with a tensor of the same shape for every item under
            each of ``keys``.
        folder: where the arrays lie; moved together with the images, it stays valid.
        keys: fields to keep as arrays. In ``data`` they hold a file, the folder of a DICOM series, or a list of these.
        dtype: how floating point tensors are kept: ``"uint16"`` (steps of 1/65535) or ``"uint8"`` (1/255) for values in
            [0, 1], ``"float16"`` or ``"float32"``.
        num_workers: processes that decode, 0 for this one; None takes one for every processor.
        progress: whether to show a progress bar while decoding.

    Attributes:
        prepared: how many images were decoded when this dataset was made.

    Raises:
        InputError: when the folder was prepared otherwise, cannot be written, or some images could not be prepared; all
            others are kept.

    Example:
        >>> import tempfile
        >>> from monai.transforms import Compose, ScaleIntensityd
        >>> from monai_semise.data import ensure_phantoms, load_datalist
        >>> from monai_semise.transforms import LoadCheckedImaged
        >>> folder = tempfile.mkdtemp()
        >>> items = load_datalist(ensure_phantoms(folder, 10, 5, 5, size=16, progress=False))["training"]
        >>> transform = Compose([LoadCheckedImaged("image", channels=1), ScaleIntensityd("image")])
        >>> images = PreparedDataset(items, transform, f"{folder}/prepared", num_workers=0, progress=False)
        >>> images.prepared, images[0]["image"].shape, images[0]["severity"]
        (10, torch.Size([1, 16, 16]), 0)
        >>> PreparedDataset(items, transform, f"{folder}/prepared").prepared
        0
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable[[dict[str, Any]], Any],
        folder: str | os.PathLike,
        keys: Sequence[str] | str = ("image",),
        dtype: str = "uint16",
        num_workers: int | None = None,
        progress: bool = True,
    ) -> None:
        self.data = data
        self.transform = transform
        self.keys: tuple[str, ...] = ensure_tuple(keys)
        self.dtype = dtype
        if dtype not in DTYPES:
            raise InputError(f"dtype: {dtype!r} is none of {', '.join(DTYPES)}")
        _refuse_random(transform)
        self._store = ArrayStore(folder, self.keys, {"dtype": dtype, "transform": describe_transform(transform)})
        self._arrays: dict[str, np.ndarray] | None = None
        self._rows = np.full(len(data), -1, dtype=np.int64)
        self.prepared = 0
        if not len(data):
            return
        missing = self._find_rows()
        first, self._preparation = self._try_first()
        if len(missing):
            with self._store.lock():
                missing = self._find_rows()  # another process may have filled it in the meantime
                if len(missing):
                    self._fill(missing, _processors() if num_workers is None else num_workers, progress)
            self._find_rows(only_unchanged=False)
        self._spot_check(first)

    @property
    def folder(self) -> str:
        """Folder of the arrays."""
        return str(self._store.folder)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.data[index]
        result = self._preparation.fields(item)
        for key, array in self._open().items():
            result[key] = self._preparation.tensor(key, array[self._rows[index]])
        return result

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": None}  # another process maps the files itself

    def _open(self) -> dict[str, np.ndarray]:
        if self._arrays is None:
            arrays = self._store.arrays()
            shortest = min(map(len, arrays.values()))
            if self._rows.max() >= shortest:
                raise InputError(f"{self.folder}: holds {shortest} rows where its index tells of more; delete it")
            self._arrays = arrays
        return self._arrays

    def _find_rows(self, only_unchanged: bool = True) -> np.ndarray:
        """Look up the row of each item.

        Args:
            only_unchanged: whether to leave out rows whose files changed.

        Returns:
            positions of the items without a row, of several with the same files the first.
        """
        names = np.zeros(len(self.data), dtype=np.uint64)
        states = np.zeros_like(names)
        for n, item in enumerate(self.data):
            files = source_files(item, self.keys)
            names[n] = digest(self._store.relative(files))
            if only_unchanged:
                states[n] = digest(file_stamps(files))
        self._rows = RowTable(self._store.entries()).find(names, states if only_unchanged else None)
        missing = np.flatnonzero(self._rows < 0)
        return missing[np.sort(np.unique(names[missing], return_index=True)[1])]

    def _try_first(self) -> tuple[int, Preparation]:
        """Prepare the first image that can be, in this process, where an error of the transform keeps its traceback."""
        failures = []
        for n in range(min(len(self.data), TRIED_FIRST)):
            try:
                return n, Preparation(self.transform, self.keys, self.dtype, self.data[n])
            except Exception as error:
                known = find_semise_error(error)
                if known is None:
                    raise
                failures.append(str(known))
        raise InputError(f"none of the first {len(failures)} images could be prepared; {failures[0]}")

    def _fill(self, missing: np.ndarray, num_workers: int, progress: bool) -> None:
        loader = DataLoader(
            _Work(self._preparation),
            batch_size=None,
            sampler=_Items(self.data, missing),
            collate_fn=_unchanged,
            num_workers=min(num_workers, len(missing)),
            worker_init_fn=_leave_shared_memory,
            generator=torch.Generator(),  # training must draw the same whether images are prepared now or were before
        )
        failures: list[str] = []
        with self._store.writer(self._preparation.example.arrays) as writer:
            for made in tqdm(loader, "Preparing images", len(missing), unit="image", disable=not progress):
                if isinstance(made, str):
                    failures.append(made)
                else:
                    writer.add(made.files, made.stamps, made.arrays)
                    self.prepared += 1
        if failures:
            shown = "; ".join(failures[:SHOWN_FAILURES])
            more = f"; and {len(failures) - SHOWN_FAILURES} more" if len(failures) > SHOWN_FAILURES else ""
            raise InputError(
                f"{len(failures)} of {len(missing)} images could not be prepared: {shown}{more} "
                f"({self.prepared} were, and are kept in {self.folder})"
            )

    def _spot_check(self, position: int) -> None:
        """Raise when what is kept of an item is not what the transform gives now."""
        kept = self[position]
        example = self._preparation.example
        for key, array in example.arrays.items():
            now, before = self._preparation.tensor(key, array), kept[key]
            limit = SPOT_TOLERANCE * float(now.abs().max()) if now.is_floating_point() else 0
            alike = now.shape == before.shape and now.dtype == before.dtype
            if not alike or bool(((now.double() - before.double()).abs() > limit).any()):
                raise InputError(
                    f"{self.folder}: {example.files[0]}: the preprocessing gives another {key} than when the folder "
                    "was prepared, though its settings are the same; name another folder, or delete this one"
                )


class _Items(Sampler):
    """Gives items in the place of their numbers, from a compressed copy.

    Were they taken from the list, each page of memory that holds some would be copied, because taking one writes its
    reference count while the loader processes, forked before, still hold the page as it was.
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], positions: np.ndarray) -> None:
        parts = range(0, len(positions), ITEMS_A_PART)
        self._parts = [_compressed([data[n] for n in positions[start : start + ITEMS_A_PART]]) for start in parts]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for part in self._parts:
            yield from pickle.loads(zlib.decompress(part))


def _compressed(items: list[Mapping[str, Any]]) -> bytes:
    return zlib.compress(pickle.dumps(items), level=1)


class _Work(Dataset):
    """What loader processes do: the arrays of an item, or in one line what went wrong. The item is its own index."""

    def __init__(self, preparation: Preparation) -> None:
        self.preparation = preparation

    def __getitem__(self, index: Mapping[str, Any]) -> Prepared | str:
        try:
            return self.preparation.prepare(index)
        except Exception as error:  # one image must not keep the others from being prepared
            known = find_semise_error(error)
            if known is not None:
                return str(known)
            cause: BaseException = error
            while cause.__cause__ is not None:  # MONAI tells the transform, the innermost error tells why
                cause = cause.__cause__
            file = source_files(index, self.preparation.keys)[0]
            return f"{file}: {type(cause).__name__}: {' '.join(str(cause).split())[:200]}"


def _leave_shared_memory(_: int) -> None:
    gc.freeze()  # the collector writes into every object that it visits, and so copies what processes share


def _unchanged(made: Any) -> Any:
    return made  # torch's own collate function would make tensors, and hand each over through a file descriptor


def _refuse_random(transform: Callable) -> None:
    for step in transform.flatten().transforms if isinstance(transform, Compose) else (transform,):
        if isinstance(step, (Randomizable, RandomizableTrait)):
            raise InputError(
                f"the preprocessing holds {type(step).__name__}, whose draw would be kept for all epochs; "
                "random transforms belong after preparing"
            )


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
