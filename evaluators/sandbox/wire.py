"""What crosses the wall: frames of magic, kind, sequence number and exact length, holding raw arrays or text.

Both sides use this module, and neither believes what it reads: `WireError` is raised for anything unexpected,
and no length that the other side claims is allocated before that many bytes have come.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

HEADER = struct.Struct("<4sIQQ")
"""Magic, kind, sequence number, length of the payload."""
MAGIC = b"HEUR"
MAX_PAYLOAD = 16 << 20
MAX_NUMBERS = MAX_PAYLOAD // 8 - 16
"""Numbers in the largest array that fits a frame."""
MAX_FAULT = 4096
MAX_DIMENSIONS = 3

# Questions.
LOAD, REQUIRE, CALL, DISPATCH, DEFINED = 1, 2, 3, 4, 5
# Answers.
DONE, ANSWER, FAULT = 17, 18, 19

FAULTS = ("bad_source", "exception", "memory", "invalid_decision")
"""The verdicts a driver may report; the others are the supervisor's own observations."""

DTYPES = (np.dtype("<i8"), np.dtype("<f8"))
QUESTION = struct.Struct("<HH")
"""Lengths of the function's name and of the description of records."""
ARRAY_HEADS = [struct.Struct(f"<BB{ndim}Q") for ndim in range(MAX_DIMENSIONS + 1)]
"""Type, number of dimensions, dimensions; by the number of dimensions."""


class WireError(Exception):
    """The other side wrote something that is not the expected frame."""


def pack_frame(kind: int, sequence: int, payload: bytes = b"") -> bytes:
    """A frame, ready to be written."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"{len(payload)} bytes do not fit a frame; at most {MAX_PAYLOAD} do")
    return HEADER.pack(MAGIC, kind, sequence, len(payload)) + payload


def unpack_header(header: bytes | bytearray, sequence: int) -> tuple[int, int]:
    """Kind and payload length of the frame numbered `sequence`."""
    magic, kind, number, length = HEADER.unpack_from(header)
    if magic != MAGIC:
        raise WireError("a frame without the magic number")
    if number != sequence:
        raise WireError(f"a frame numbered {number} in place of {sequence}")
    if length > MAX_PAYLOAD:
        raise WireError(f"a frame of {length} bytes; at most {MAX_PAYLOAD} are read")
    return kind, length


def pack_array(array: Array) -> bytes:
    """One array of numbers, as int64 or float64.

    Raises:
        ValueError: it holds something else, or has more than `MAX_DIMENSIONS`.
    """
    if array.dtype.kind not in "fiub" or array.ndim > MAX_DIMENSIONS:
        raise ValueError(f"an array of {array.dtype} with {array.ndim} dimensions cannot be sent")
    code = 1 if array.dtype.kind == "f" else 0
    head = ARRAY_HEADS[array.ndim].pack(code, array.ndim, *array.shape)
    return head + array.astype(DTYPES[code], copy=False).tobytes()


def unpack_array(payload: bytes | bytearray, offset: int = 0) -> tuple[Array, int]:
    """The array that starts at `offset`, as a fresh copy, and the offset after it."""
    try:
        head = ARRAY_HEADS[payload[offset + 1]]
        code, _, *shape = head.unpack_from(payload, offset)
        dtype = DTYPES[code]
    except (IndexError, struct.error):
        raise WireError("an array without a proper head") from None
    start = offset + head.size
    size = math.prod(shape)
    # The second test keeps shapes such as (0, 2**63) from NumPy.
    if start + 8 * size > len(payload) or (size == 0 and max(shape) > MAX_NUMBERS):
        raise WireError(f"an array of shape {shape} in {len(payload) - start} bytes")
    return np.ndarray(shape, dtype, payload, start).copy(), start + 8 * size


def pack_question(function: str, arrays: Sequence[Array], records: str = "") -> bytes:
    """A call: the name of the function, how records are made of its arguments (`parse_records`), the arguments."""
    return b"".join((_question_head(function, records), *map(pack_array, arrays)))


@cache
def _question_head(function: str, records: str) -> bytes:
    """What precedes the arguments of a question; a caller has few different ones."""
    name, layout = function.encode(), records.encode()
    return QUESTION.pack(len(name), len(layout)) + name + layout


def unpack_question(payload: bytes) -> tuple[str, list[Array], str]:
    """The name of the function, the arguments and the records to be made of them."""
    name_length, layout_length = QUESTION.unpack_from(payload)
    start = QUESTION.size + name_length
    offset = start + layout_length
    name, records = _texts(payload[QUESTION.size : start], payload[start:offset])
    arrays = []
    while offset < len(payload):
        array, offset = unpack_array(payload, offset)
        arrays.append(array)
    return name, arrays, records


@lru_cache(maxsize=64)
def _texts(name: bytes, records: bytes) -> tuple[str, str]:
    """Both as text."""
    return name.decode(), records.decode()


@cache
def parse_records(records: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The arguments that `records` describes: names and fields; a plain argument has none.

    `requests:prompt,output;state:now` stands for two records made of three values. `requests:prompt|output` takes
    both fields from the rows of one value, which costs less to send; those of a vector are numbers.
    """
    parts = [part.partition(":") for part in records.split(";")]
    return tuple((name, tuple(fields.split(",")) if colon else ()) for name, colon, fields in parts)


@cache
def count_values(records: str) -> int:
    """How many values the arguments that `records` describes are made of."""
    return sum(max(1, len(fields)) for _, fields in parse_records(records))


def unpack_answer(payload: bytes | bytearray) -> Array:
    """Exactly one array."""
    array, end = unpack_array(payload)
    if end != len(payload):
        raise WireError(f"{len(payload) - end} bytes after the answer")
    return array


def pack_fault(verdict: str, text: str) -> bytes:
    """One of `FAULTS` with a text, which is cut to `MAX_FAULT` bytes."""
    return bytes([FAULTS.index(verdict)]) + text[:MAX_FAULT].encode(errors="replace")[: MAX_FAULT - 1]


def unpack_fault(payload: bytes | bytearray) -> tuple[str, str]:
    """The verdict and the text of a fault; the text is the candidate's, whatever it says."""
    if not payload or len(payload) > MAX_FAULT or payload[0] >= len(FAULTS):
        raise WireError("a malformed fault")
    return FAULTS[payload[0]], payload[1:].decode(errors="replace")
