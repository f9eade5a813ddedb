"""Machine-readable output."""

from __future__ import annotations

import json
from typing import Any

import typer


def print_json(value: Any) -> None:
    """JSON on standard output.

    Raises:
        ValueError: a number is not finite; figures that do not exist are None.
    """
    typer.echo(json.dumps(value, indent=2, allow_nan=False))
