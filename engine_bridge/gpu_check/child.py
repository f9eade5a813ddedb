"""The process of one part; started by the command, not by people."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from engine_bridge.gpu_check.part import Part, parts
from engine_bridge.torch_engine.errors import EngineError


def main(arguments: Sequence[str]) -> int:
    """Run the part that the arguments name: name, device, seconds, report, and `quick` if it is."""
    name, device, seconds, out, *rest = arguments
    part = Part(name, device, quick=rest == ["quick"], seconds=float(seconds), out=Path(out))
    try:
        parts()[name](part)
    except EngineError as error:
        print(f"error: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
