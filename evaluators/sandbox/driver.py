"""The child's side of the wall: loads one heuristic and answers questions about it until there are no more.

Whatever runs here shares its process with the candidate and proves nothing. Checks are made for the sake of
good error texts; the trusted side makes them again.
"""

from __future__ import annotations

import mmap
import os
import sys
import types
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from evaluators.sandbox import wire
from evaluators.sandbox.wire import Array

FILENAME = "<heuristic>"
MODULE = "heuristic"
TEXT_LENGTH = 1000


class Fault(Exception):
    """Ends the session with one of `wire.FAULTS` and a text."""

    def __init__(self, verdict: str, text: str) -> None:
        self.verdict = verdict
        self.text = text


def serve(questions: int, answers: int, source: int) -> None:
    """Answer the frames that come through `questions`; the first asks to load the heuristic from `source`."""
    text = read_all(source)
    # Given back when memory runs out, so that there is enough left to say so.
    reserve = mmap.mmap(-1, 4 << 20)
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module  # dataclasses look their module up there
    sequence = 0
    while (question := read_frame(questions, sequence)) is not None:
        try:
            kind, payload = answer(vars(module), text, *question)
        except Fault as fault:
            kind, payload = wire.FAULT, wire.pack_fault(fault.verdict, fault.text)
        except MemoryError as error:
            reserve.close()
            kind, payload = wire.FAULT, wire.pack_fault("memory", describe(error))
        except BaseException as error:  # noqa: BLE001  a candidate may raise anything, SystemExit included
            kind, payload = wire.FAULT, wire.pack_fault("exception", describe(error))
        write(answers, wire.pack_frame(kind, sequence, payload))
        sequence += 1


def answer(namespace: dict[str, Any], source: bytes, kind: int, payload: bytes) -> tuple[int, bytes]:
    """Kind and payload of the answer to one question."""
    if kind == wire.LOAD:
        load(namespace, source)
        return wire.DONE, b""
    name, arrays, records = wire.unpack_question(payload)
    if kind == wire.DEFINED:
        return wire.ANSWER, wire.pack_array(np.array([callable(namespace.get(each)) for each in name.split(",")]))
    function = find(namespace, name)
    if kind == wire.CALL:
        return wire.ANSWER, wire.pack_array(once(function, arrays, records))
    if kind == wire.DISPATCH:
        return wire.ANSWER, wire.pack_array(dispatch(function, arrays))
    return wire.DONE, b""


def load(namespace: dict[str, Any], source: bytes) -> None:
    """Run the heuristic's file in `namespace`."""
    try:
        # Decoded here, so that no line of the file can ask for another encoding and read as something else.
        # Annotations are not looked at: models like to copy them without what they need to be imported.
        code = compile(source.decode(), FILENAME, "exec", annotations.compiler_flag, dont_inherit=True)
    except SyntaxError as error:
        raise Fault("bad_source", f"{type(error).__name__}: {error.msg} (line {error.lineno})") from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise Fault("bad_source", f"{type(error).__name__}: {error}") from None
    exec(code, namespace)


def find(namespace: dict[str, Any], name: str) -> Callable[..., Any]:
    """The heuristic's function of this name."""
    function = namespace.get(name)
    if callable(function):
        return function  # type: ignore[no-any-return]
    found = [
        value.__name__
        for value in namespace.values()
        if isinstance(value, types.FunctionType) and value.__module__ == MODULE
    ]
    raise Fault("bad_source", f"no function '{name}' (found: {', '.join(found) or 'none'})")


class Record:
    """An argument with named fields; those of one layout are instances of a class that bears the argument's name."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.__dict__ = fields

    def __getattr__(self, name: str) -> Any:
        """Called for what is no field."""
        raise AttributeError(f"'{type(self).__name__}' has no field '{name}' (it has {', '.join(vars(self))})")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


Maker = tuple[type[Record] | None, tuple[str | tuple[str, ...], ...], int]
"""How an argument is made: its class, None for a plain one; its fields, or several for one value; its first value."""


@cache
def makers(records: str) -> list[Maker]:
    """How each argument that `records` describes is made."""
    found: list[Maker] = []
    start = 0
    for name, fields in wire.parse_records(records):
        parts = tuple(tuple(field.split("|")) if "|" in field else field for field in fields)
        found.append((type(name, (Record,), {}) if fields else None, parts, start))
        start += len(fields) or 1
    return found


def gather(records: str, values: list[Any]) -> list[Any]:
    """The arguments that `records` describes, made of `values`."""
    return [
        kind(spread(fields, values[start : start + len(fields)])) if kind else values[start]
        for kind, fields, start in makers(records)
    ]


def spread(fields: tuple[str | tuple[str, ...], ...], values: list[Any]) -> dict[str, Any]:
    """Values by field; the rows of an array, or its numbers, where several fields share a value."""
    found: dict[str, Any] = {}
    for field, value in zip(fields, values, strict=True):
        if isinstance(field, str):
            found[field] = value
        else:
            found.update(zip(field, value if value.ndim > 1 else value.tolist(), strict=True))
    return found


def once(function: Callable[..., Any], arrays: list[Array], records: str = "") -> Array:
    """`function`'s answer to one call; arrays without dimensions are passed as numbers, `records` as such."""
    values = [array if array.ndim else array.item() for array in arrays]
    return numbers(function(*(gather(records, values) if records else values)))


def dispatch(function: Callable[..., Any], vectors: list[Array]) -> Array:
    """The order in which jobs go when `function` scores those that remain and the lowest score goes next.

    The first vector holds the processing times: a job that goes moves the time on by its own. `function` gets
    the vectors' values at the remaining jobs, in their first order, and the time.
    """
    jobs = np.array(vectors, dtype=np.float64)
    n = jobs.shape[1]
    left = list(range(n))
    order = np.empty(n, dtype=np.int64)
    time = 0.0
    for step in range(n):
        m = n - step
        scores = numbers(function(*jobs[:, :m].copy(), time))
        if scores.shape != (m,):
            raise Fault("invalid_decision", f"expected scores of shape ({m},), got {scores.shape}")
        chosen = int(scores.argmin())
        lowest = scores[chosen]
        if lowest != lowest:  # argmin finds a NaN if there is one
            raise Fault("invalid_decision", f"the score of job {left[chosen]} of {n} is NaN at time {time:g}")
        order[step] = left.pop(chosen)
        time += float(jobs[0, chosen])
        jobs[:, chosen : m - 1] = jobs[:, chosen + 1 : m]
    return order


def numbers(value: object) -> Array:
    """`value` as an array of int64 or float64."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise Fault("invalid_decision", f"expected an array of numbers: {error}") from None
    kind = array.dtype.kind
    if kind not in "fiub":
        what = type(value).__name__ if array.ndim == 0 else f"{type(value).__name__} of {array.dtype}"
        raise Fault("invalid_decision", f"expected an array of numbers, got {what}")
    if array.size > wire.MAX_NUMBERS or array.ndim > wire.MAX_DIMENSIONS:
        raise Fault("invalid_decision", f"an answer of shape {array.shape} is too large")
    if kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise Fault("invalid_decision", "a whole number beyond 64 bits")
    return array.astype(wire.DTYPES[kind == "f"], copy=False)


def describe(error: BaseException) -> str:
    """Type and message of an exception, and the line of the heuristic's file it came from."""
    try:
        text = f"{type(error).__name__}: {error}"[:TEXT_LENGTH]
    except BaseException:  # noqa: BLE001  the candidate's own __str__ may raise anything
        text = "an exception that cannot be printed"
    line, traceback = None, error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == FILENAME:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return text if line is None else f"{text} (line {line})"


def read_all(descriptor: int) -> bytes:
    """Everything a descriptor holds; it is closed."""
    data = b"".join(iter(lambda: os.read(descriptor, 1 << 20), b""))
    os.close(descriptor)
    return data


def read_frame(questions: int, sequence: int) -> tuple[int, bytes] | None:
    """Kind and payload of the next question, or None when there are no more."""
    data = os.read(questions, 1 << 16)
    if not data:
        return None
    kind, length = wire.unpack_header(data, sequence)
    while len(data) < wire.HEADER.size + length:
        more = os.read(questions, 1 << 20)
        if not more:
            return None
        data += more
    return kind, data[wire.HEADER.size :]


def write(answers: int, frame: bytes) -> None:
    """Write all of `frame`."""
    view = memoryview(frame)
    while view:
        view = view[os.write(answers, view) :]
