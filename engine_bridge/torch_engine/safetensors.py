"""Reads the tensors of a folder of safetensors files.

The format (huggingface/safetensors, README): 8 bytes with the length of the header, little-endian; the header, JSON,
for each tensor `dtype`, `shape` and `data_offsets`, its first byte and the one after its last, counted from the end of
the header; then the data, row by row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine_bridge.torch_engine.errors import EngineError

DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
}  # fmt: skip
LONGEST_HEADER = 100_000_000
"""Bytes; the limit that the format sets."""


class TensorFolder:
    """The tensors of all `*.safetensors` files of a folder, by name; nothing is read before it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, Path] = {}
        self._entries: dict[str, tuple[int, Mapping[str, Any]]] = {}
        paths = sorted(folder.glob("*.safetensors"))
        if not paths:
            raise EngineError(f"no *.safetensors in {folder}; give the folder of a downloaded model")
        for path in paths:
            start, header = _read_header(path)
            for name, entry in header.items():
                if name != "__metadata__":
                    self._files[name] = path
                    self._entries[name] = (start, entry)

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor, mapped from its file into memory: not to be written to.

        Raises:
            EngineError: it is missing, or its entry is malformed.
        """
        if name not in self._files:
            raise EngineError(f"{self.folder} has no tensor {name}; download the model again, or correct config.json")
        path = self._files[name]
        start, entry = self._entries[name]
        try:
            dtype, shape = DTYPES[entry["dtype"]], [int(size) for size in entry["shape"]]
            first, end = (int(place) for place in entry["data_offsets"])
        except (KeyError, TypeError, ValueError):
            raise EngineError(
                f"{path}: tensor {name} is described as {str(entry)[:80]}; the engine reads {', '.join(DTYPES)}"
            ) from None
        size = math.prod(shape) * dtype.itemsize
        if end - first != size or min(shape, default=0) < 0 or start + end > path.stat().st_size or first < 0:
            raise EngineError(f"{path} ends inside tensor {name} or gives it the wrong size; download the model again")
        # Copy-on-write, since torch warns of memory that cannot be written to.
        data = np.memmap(path, dtype=np.uint8, mode="c", offset=start + first, shape=(size,))
        return torch.from_numpy(data).view(dtype).view(shape)


def _read_header(path: Path) -> tuple[int, Mapping[str, Any]]:
    """Where the data of a file starts, and its header."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if 0 < length <= LONGEST_HEADER else None
    except OSError as error:
        raise EngineError(f"cannot read {path} ({error.strerror}); give the folder of a downloaded model") from None
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise EngineError(f"{path} is no safetensors file; download the model again")
    return 8 + length, header
