"""Frames that are not exactly what was expected are refused, and refused without harm."""

from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evaluators.sandbox import wire

arrays = hnp.arrays(
    st.sampled_from([np.int64, np.float64]), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
)


@given(arrays)
def test_arrays_survive_the_wire(array: np.ndarray) -> None:
    """Packing and unpacking is the identity, NaN payloads and empty shapes included."""
    again = wire.unpack_answer(wire.pack_array(array))
    assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert again.flags.writeable and again.flags.aligned


@given(st.text(max_size=20), st.lists(arrays, max_size=3), st.text(max_size=20))
def test_questions_survive_the_wire(name: str, questions: list[np.ndarray], records: str) -> None:
    """A question holds any number of arrays, one after the other, and any layout of records."""
    again, unpacked, layout = wire.unpack_question(wire.pack_question(name, questions, records))
    assert (again, layout) == (name, records)
    assert [array.tobytes() for array in unpacked] == [array.tobytes() for array in questions]


@given(st.binary(max_size=100))
def test_random_bytes_are_refused_or_read(data: bytes) -> None:
    """Any bytes at all either are an array or raise `WireError`, nothing else."""
    try:
        array = wire.unpack_answer(data)
    except wire.WireError:
        return
    assert array.nbytes <= len(data)


@given(arrays, st.data())
def test_mutated_arrays_are_refused_or_read(array: np.ndarray, data: st.DataObject) -> None:
    """A valid array with one byte changed either still is one or raises `WireError`."""
    packed = bytearray(wire.pack_array(array))
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    with suppress(wire.WireError):
        wire.unpack_answer(packed)


@pytest.mark.parametrize("shape", [(2**63,), (0, 2**63), (2**32, 2**32), (2**40, 0, 2**40), (-1 % 2**64,), (3,)])
def test_lying_shapes_are_refused(shape: tuple[int, ...]) -> None:
    """Shapes that overflow, or promise more than was sent, allocate nothing."""
    packed = struct.pack(f"<BB{len(shape)}Q", 0, len(shape), *shape) + bytes(16)
    with pytest.raises(wire.WireError):
        wire.unpack_answer(packed)


def test_trailing_bytes_are_refused() -> None:
    """An answer is exactly one array."""
    with pytest.raises(wire.WireError, match="after the answer"):
        wire.unpack_answer(wire.pack_array(np.zeros(2)) + b"\0")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ((b"HEUX", 1, 5, 0), "magic"),
        ((b"HEUR", 1, 6, 0), "numbered 6"),
        ((b"HEUR", 1, 5, 2**40), "bytes"),
    ],
)
def test_bad_headers_are_refused(header: tuple[bytes, int, int, int], words: str) -> None:
    """Magic, number and length of a frame must all be right."""
    with pytest.raises(wire.WireError, match=words):
        wire.unpack_header(wire.HEADER.pack(*header), 5)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.array([1j]), np.zeros((1,) * 4)])
def test_only_numbers_are_sent(array: np.ndarray) -> None:
    """What cannot be read on the other side is refused on this one."""
    with pytest.raises(ValueError, match="cannot be sent"):
        wire.pack_array(array)


def test_layouts_are_what_an_entry_says() -> None:
    """Records and plain arguments are told apart, and the values they are made of counted."""
    assert wire.parse_records("requests:prompt,output;x;state:now") == (
        ("requests", ("prompt", "output")),
        ("x", ()),
        ("state", ("now",)),
    )
    assert wire.count_values("requests:prompt,output;x;state:now") == 4
