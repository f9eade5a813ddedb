"""OUT.json as it grows: results at their places, the file always whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EMIT = "\x1eresult "
"""What a line begins with by which a part hands a result to the process that writes."""


class Report:
    """The results, written at once and as a whole: a reader, or a kill, never meets half a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, Any] = {}

    def put(self, place: Sequence[str], value: Any) -> None:
        """Set the result at a place, such as ("dense", "decode"), and write."""
        here = self.results
        for name in place[:-1]:
            here = here.setdefault(name, {})
        here[place[-1]] = value
        self.write()

    def write(self) -> None:
        """Write the file.

        Raises:
            OSError: it cannot be written.
        """
        beside = self.path.with_name(f"{self.path.name}.part")
        beside.write_text(json.dumps(self.results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        beside.replace(self.path)

    def take(self, line: str) -> bool:
        """Put the result that a part has emitted; whether the line was one."""
        if not line.startswith(EMIT):
            return False
        record = json.loads(line.removeprefix(EMIT))
        self.put(record["place"], record["value"])
        return True


def emit(place: Sequence[str], value: Any) -> None:
    """Hand a result to the process that writes."""
    print(EMIT + json.dumps({"place": list(place), "value": value}, allow_nan=False), flush=True)
