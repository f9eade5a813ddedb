"""The commands ask and answer: open requests out, answers in."""

from __future__ import annotations

from pathlib import Path

import typer

from discovery.answers import as_markdown, take
from discovery.archive import Archive, shown
from discovery.config import Config
from discovery.errors import UsageError
from discovery.folders import run_folder
from problems.registry import load_problem


def ask(name: str, limit: int | None) -> None:
    """Print the open requests of a run as Markdown."""
    with Archive(run_folder(name), "read") as archive:
        requests = [request for request in archive.open_requests() if request.prompt]
        run = shown(archive.folder)
        if not requests:
            typer.echo(f"run {run} has no open request; `discover resume {run}` goes on", err=True)
            return
        typer.echo(as_markdown(run, archive, requests[:limit]))


def answer(name: str, path: Path, by: str) -> None:
    """Take answers from a file.

    Raises:
        UsageError: the file cannot be read, is of no known form, or belongs to another run.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"'{path}' cannot be read: {getattr(error, 'strerror', None) or error}") from None
    with Archive(run_folder(name), "append") as archive:
        config = Config.model_validate(archive.config)
        function = load_problem(config.run.problem).entry.function
        report = take(archive, text, getattr(config.proposer, "models", ()), function, by=by)
        run = shown(archive.folder)
        left = len(archive.open_requests())
    typer.echo(f"{report}; {left} requests are open. `discover resume {run}` goes on")
