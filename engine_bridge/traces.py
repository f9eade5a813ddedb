"""Readers of public request traces and of our own format; every line that makes no sense is refused by its number.

- Azure 2023 (and 2024): CSV with the columns TIMESTAMP, ContextTokens, GeneratedTokens.
- Mooncake: JSON lines with timestamp (ms), input_length, output_length and hash_ids: ids of 512-token prefix blocks.
- vLLM's own request log: see `engine_bridge.request_log`.
- Ours: JSON lines; optionally a first line {"workload": NAME, "hash_block": 512, "prediction_error": 0.5, "origin": …},
  then one object a request: arrival (s), prompt, output; optionally predicted (all requests or none), priority, group,
  client, ttft, tpot (s; left out for none), blocks (a list of ids).

Arrivals are counted from the first one on in the public traces; ours are taken as they are.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_bridge.request_log import is_request_log, read_request_log
from engine_bridge.workload import HASH_BLOCK, VECTORS, Workload, WorkloadError

Array = NDArray[Any]

AZURE_COLUMNS = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]
MOONCAKE_KEYS = ("timestamp", "input_length", "output_length", "hash_ids")
OPTIONAL = tuple(name for name in VECTORS if name not in ("arrival", "prompt", "output"))
"""Keys of our format that may be left out."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?")
_MOST = 2**31
_BANNER = 200  # lines in which a log's first own line is looked for


def read_trace(path: Path) -> Workload:
    """The trace at `path`, its format told by the first line.

    Raises:
        WorkloadError: the file cannot be read, or a line is malformed.
    """
    first = _first_line(path)
    if is_request_log(first):
        return read_request_log(path)
    if first.lstrip("\ufeff").startswith(AZURE_COLUMNS[0]):
        return read_azure(path)
    return read_mooncake(path) if '"hash_ids"' in first or '"input_length"' in first else read_jsonl(path)


def _first_line(path: Path) -> str:
    """The first line that is not blank; of a log of vLLM one of its own, after what else was printed at its start."""
    first = ""
    for number, line in _lines(path):
        first = first or line
        if number > _BANNER or first.lstrip("\ufeff").startswith(("{", AZURE_COLUMNS[0])):
            break
        if is_request_log(line):
            return line
    return first


def read_azure(path: Path) -> Workload:
    """An Azure LLM inference trace; it says nothing of shared prefixes.

    Raises:
        WorkloadError: the file cannot be read, or a line is malformed.
    """
    moments: list[tuple[float, float]] = []
    counts: list[tuple[int, int]] = []
    for number, line in _lines(path):
        cells = next(csv.reader([line]))
        if number == 1:
            if cells != AZURE_COLUMNS:
                raise _wrong(path, number, "the header", line, f"give {','.join(AZURE_COLUMNS)}")
            continue
        if len(cells) != len(AZURE_COLUMNS):
            raise _wrong(path, number, "the line", line, f"give {len(AZURE_COLUMNS)} cells")
        moments.append(_moment(cells[0], path, number))
        prompt, output = (
            _whole(name, cell, path, number) for name, cell in zip(AZURE_COLUMNS[1:], cells[1:], strict=True)
        )
        counts.append((prompt, output))
    _refuse_empty(path, moments)
    seconds, fractions = np.array(moments).T
    # Whole seconds first: a float cannot hold the seconds since 1970 and a ten-millionth of one.
    arrival = (seconds - seconds.min()) + fractions
    prompts, outputs = np.array(counts).T
    return Workload.of(path.stem, arrival - arrival.min(), prompts, outputs, origin=f"Azure trace {path.name}")


def read_mooncake(path: Path) -> Workload:
    """A Mooncake trace; a request's group is its second block: the first is one preamble that all share.

    Raises:
        WorkloadError: the file cannot be read, or a line is malformed.
    """
    rows = []
    for number, record in _objects(path):
        missing = [key for key in MOONCAKE_KEYS if key not in record]
        if missing:
            raise _wrong(path, number, "the line", json.dumps(record), f"add {', '.join(missing)}")
        time = _real("timestamp", record["timestamp"], path, number, least=0)
        prompt, output = (_whole(key, record[key], path, number) for key in MOONCAKE_KEYS[1:3])
        blocks = _blocks("hash_ids", record["hash_ids"], path, number)
        rows.append((time / 1e3, prompt, output, blocks))
    _refuse_empty(path, rows)
    arrival, prompts, outputs, lists = zip(*rows, strict=True)
    times = np.array(arrival)
    return _made(
        path,
        name=path.stem,
        arrival=times - times.min(),
        prompt=prompts,
        output=outputs,
        blocks=lists,
        hash_block=HASH_BLOCK,
        group=session_groups(lists),
        origin=f"Mooncake trace {path.name}",
    )


def session_groups(lists: Any) -> Array:
    """Groups by the second block: numbers from 0 in order of appearance, −1 for a request without one; shape (n,)."""
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(ids[1], len(numbers)) if len(ids) > 1 else -1 for ids in lists])


def read_jsonl(path: Path) -> Workload:
    """A workload in our own format.

    Raises:
        WorkloadError: the file cannot be read, or a line is malformed.
    """
    header: dict[str, Any] = _header({}, path, 1)
    requests: list[dict[str, Any]] = []
    for place, (number, record) in enumerate(_objects(path)):
        if place == 0 and "workload" in record:
            header = _header(record, path, number)
        else:
            requests.append(_request(record, path, number))
    _refuse_empty(path, requests)
    arrays = {key: [each[key] for each in requests] for key in ("arrival", "prompt", "output")}
    for key in OPTIONAL:
        given = [key in each for each in requests]
        if key == "predicted" and any(given) and not all(given):
            raise WorkloadError(f"{path}: request {given.index(False)} has no predicted; give it to all or to none")
        if any(given):
            arrays[key] = [each.get(key, _DEFAULTS.get(key)) for each in requests]
    error = header.pop("prediction_error")
    blocks = [each["blocks"] for each in requests]
    if "predicted" in arrays:
        return replace(_made(path, blocks=blocks, **header, **arrays), prediction_error=error)
    drawn = {} if error is None else {"prediction_error": error}
    return _made(path, blocks=blocks, **header, **arrays, **drawn)


_DEFAULTS = {"priority": 0, "group": -1, "client": 0, "ttft": math.inf, "tpot": math.inf}


def write_jsonl(workload: Workload, path: Path) -> None:
    """Write a workload in our own format; `read_jsonl` gives the same."""
    header = {
        "workload": workload.name,
        "hash_block": workload.hash_block,
        "prediction_error": workload.prediction_error,
        "origin": workload.origin,
    }
    columns = {name: getattr(workload, name).tolist() for name in VECTORS}
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(header, ensure_ascii=False) + "\n")
        for request, values in enumerate(zip(*columns.values(), strict=True)):
            record = {key: value for key, value in zip(columns, values, strict=True) if value != _DEFAULTS.get(key)}
            if workload.prefix_blocks[request]:
                record["blocks"] = workload.blocks(request).tolist()
            file.write(json.dumps(record, allow_nan=False) + "\n")


def _header(record: dict[str, Any], path: Path, number: int) -> dict[str, Any]:
    """What the first line of our format says, as keywords of `Workload.of`."""
    found = {"name": path.stem, "hash_block": HASH_BLOCK, "prediction_error": None, "origin": f"file {path.name}"}
    unknown = set(record) - {"workload", "hash_block", "prediction_error", "origin"}
    if unknown:
        raise _wrong(path, number, "the first line", json.dumps(record), f"take out {', '.join(sorted(unknown))}")
    for key, value in record.items():
        if key == "hash_block":
            found[key] = _whole(key, value, path, number)
        elif key == "prediction_error":
            found[key] = None if value is None else _real(key, value, path, number, least=0)
        else:
            found["name" if key == "workload" else key] = str(value)
    return found


def _request(record: dict[str, Any], path: Path, number: int) -> dict[str, Any]:
    """One request of our format, checked."""
    found: dict[str, Any] = {"blocks": _blocks("blocks", record.get("blocks", []), path, number)}
    for key in ("arrival", "prompt", "output"):
        if key not in record:
            raise _wrong(path, number, "the line", json.dumps(record), f"add {key}")
    for key, value in record.items():
        if key == "arrival":
            found[key] = _real(key, value, path, number, least=-math.inf)
        elif key in ("ttft", "tpot"):
            found[key] = _real(key, value, path, number, least=1e-9)
        elif key in ("prompt", "output", "predicted"):
            found[key] = _whole(key, value, path, number)
        elif key in _DEFAULTS:
            found[key] = _whole(
                key, value, path, number, least=-1 if key == "group" else -_MOST if key == "priority" else 0
            )
        elif key != "blocks":
            raise _wrong(path, number, "the key", key, f"take it out; known are {', '.join(('blocks', *VECTORS))}")
    return found


def _made(path: Path, **arguments: Any) -> Workload:
    """`Workload.of`, whose errors then name the file."""
    try:
        return Workload.of(**arguments)
    except WorkloadError as error:
        raise WorkloadError(f"{path}: {error}") from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1 on."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkloadError(f"cannot read the trace {path} ({error}); give a UTF-8 file") from None


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file of JSON lines."""
    for number, line in _lines(path):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            record = None
        if not isinstance(record, dict):
            raise _wrong(path, number, "the line", line, "give one JSON object a line")
        yield number, record


def _moment(cell: str, path: Path, number: int) -> tuple[float, float]:
    """A time of day as whole seconds since 1970 and a fraction; UTC where no zone is given."""
    found = _TIME.fullmatch(cell.strip())
    try:
        if found is None:
            raise ValueError
        moment = datetime.fromisoformat(found[1] + (found[3] or ""))
    except ValueError:
        raise _wrong(path, number, AZURE_COLUMNS[0], cell, "give a time such as 2023-11-16 18:15:46.6805900") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), float(f"0{found[2] or ''}")


def _whole(name: str, value: object, path: Path, number: int, *, least: int = 1) -> int:
    """`value` (or a cell of a CSV file) as a whole number from `least` on."""
    try:
        whole = None if isinstance(value, (bool, float)) else int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        whole = None
    if whole is None or not least <= whole < _MOST:
        raise _wrong(
            path, number, name, value, f"give a whole number from {least} to {_MOST - 1}, or take the line out"
        )
    return int(whole)


def _real(name: str, value: object, path: Path, number: int, *, least: float) -> float:
    """`value` as a finite number from `least` on."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not least <= value < math.inf
        or value == -math.inf
    ):
        raise _wrong(
            path, number, name, value, "give a finite number" + (f", {least:g} or more" if math.isfinite(least) else "")
        )
    return float(value)


def _blocks(name: str, value: object, path: Path, number: int) -> list[int]:
    """`value` as a list of block ids."""
    if not isinstance(value, list) or any(
        isinstance(each, bool) or not isinstance(each, int) or each < 0 for each in value
    ):
        raise _wrong(path, number, name, value, "give a list of whole numbers ≥ 0")
    return value


def _refuse_empty(path: Path, requests: Any) -> None:
    if not requests:
        raise WorkloadError(f"the trace {path} has no requests; give one with at least one")


def _wrong(path: Path, number: int, what: str, value: object, remedy: str) -> WorkloadError:
    shown = repr(value)
    return WorkloadError(f"{path}, line {number}: {what} is {shown if len(shown) < 80 else shown[:77] + '…'}; {remedy}")
