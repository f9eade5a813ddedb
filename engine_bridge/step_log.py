"""Step logs: what each step of an engine did and how long it took, as the simulator and the engines write them.

CSV with a header line, or JSON lines; which of the two is told by the first character. One step a line, in order:

| column | meaning |
|---|---|
| prefill_tokens | prompt tokens computed in the step; tokens found in the prefix cache are not among them |
| prefill_attention | Σ over the prefilling requests of their query–key pairs, `cost.attention_pairs(computed, chunk)` |
| decodes | requests that decode one token |
| decode_kv | Σ over the decodes of the tokens of KV they read, the new one included |
| seconds | how long the step took, > 0 |
| batch | requests in the step; optional, by default `decodes`, and one more if there is prefill |
| layer_groups | groups of layered prefill, ≥ 1; optional, by default 1 |

Other columns are left alone (the simulator adds the start, free blocks, and what runs and waits).
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

REQUIRED = ("prefill_tokens", "prefill_attention", "decodes", "decode_kv", "seconds")


class StepLogError(ValueError):
    """A step log cannot be used; the message says what, where, the value and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLog:
    """The columns of a step log; float64, shape (n,) each."""

    prefill_tokens: Array
    prefill_attention: Array
    decodes: Array
    decode_kv: Array
    seconds: Array
    batch: Array
    layer_groups: Array

    def __len__(self) -> int:
        """How many steps."""
        return len(self.seconds)

    @property
    def tokens(self) -> Array:
        """Tokens of each step that run through the linear layers, shape (n,)."""
        return np.asarray(self.prefill_tokens + self.decodes)

    def select(self, which: Array) -> StepLog:
        """The steps `which` (a mask, or indices) names."""
        return StepLog(**{name: getattr(self, name)[which] for name in COLUMNS})

    def write(self, path: Path) -> None:
        """Write the log as CSV."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(zip(*(each.tolist() for each in astuple(self)), strict=True))

    @classmethod
    def of(cls, columns: Mapping[str, Array]) -> StepLog:
        """A log from arrays by column name; optional columns get their defaults, others are left out."""
        known = {name: np.asarray(columns[name], dtype=np.float64) for name in COLUMNS if name in columns}
        known.setdefault("batch", known["decodes"] + (known["prefill_tokens"] > 0))
        known.setdefault("layer_groups", np.ones(len(known["seconds"])))
        return cls(**known)


COLUMNS = tuple(each.name for each in fields(StepLog))


def read_step_log(path: Path) -> StepLog:
    """The steps of the log at `path` that did something; idle ones (no tokens) are left out.

    Raises:
        StepLogError: the file is missing or empty, a column is missing, or a value is no number it may be.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StepLogError(f"cannot read the step log {path} ({error}); give CSV or JSON lines in UTF-8") from None
    lines = _json_lines(text, path) if text.lstrip().startswith("{") else _csv_lines(text, path)
    values: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for number, record in lines:
        for name, value in _numbers(record, number, path).items():
            values[name].append(value)
    columns = {name: np.array(column) for name, column in values.items()}
    log = StepLog(**columns)
    if not len(log):
        raise StepLogError(f"the step log {path} has no steps; log at least a few dozen of a varied workload")
    return log.select(log.tokens > 0)


def _json_lines(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise StepLogError(f"{path}, line {number}: no JSON ({error.msg}); write one object a line") from None
        if not isinstance(record, dict):
            raise StepLogError(f"{path}, line {number}: {line[:40]!r} is no object; write one object a line")
        yield number, record


def _csv_lines(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    try:
        for record in reader:
            yield reader.line_num, record
    except csv.Error as error:
        raise StepLogError(f"{path}, line {reader.line_num}: no CSV ({error}); repair the line") from None


def _numbers(record: Mapping[str, Any], number: int, path: Path) -> dict[str, float]:
    """All columns of one step, checked."""
    found = {name: _number(name, record[name], number, path) for name in COLUMNS if record.get(name) is not None}
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise StepLogError(
            f"{path}, line {number}: no {', '.join(missing)}; a step log needs the columns {', '.join(REQUIRED)}"
        )
    idle = found["prefill_tokens"] + found["decodes"] == 0
    if found["seconds"] <= 0 and not idle:
        raise StepLogError(f"{path}, line {number}: seconds is {found['seconds']:g}; give the step's time, above 0")
    found.setdefault("batch", found["decodes"] + (found["prefill_tokens"] > 0))
    found.setdefault("layer_groups", 1.0)
    if found["layer_groups"] < 1:
        raise StepLogError(f"{path}, line {number}: layer_groups is {found['layer_groups']:g}; give 1 or more")
    return found


def _number(name: str, value: object, line: int, path: Path) -> float:
    """`value` as a finite number ≥ 0."""
    try:
        number = math.nan if isinstance(value, (bool, list, dict)) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise StepLogError(f"{path}, line {line}: {name} is {value!r}; give a finite number, 0 or more")
    return number
