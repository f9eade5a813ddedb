"""The folder that vLLM runs a policy from, with a README that says how."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from discovery import __version__
from discovery.errors import DiscoverError, UsageError
from discovery.exporting.winner import MEANINGS, Winner
from engine_bridge.vllm.settings import PREFIX, Settings
from engine_bridge.vllm.support import VERSIONS
from evaluators.vllm_folder import CLASS, write_folder

README = "README.md"
SCHEDULER = f"--scheduler-cls {CLASS}"


def export_vllm(winner: Winner, folder: Path) -> Path:
    """Write the folder; its path.

    Raises:
        UsageError: there is something in it already.
        DiscoverError: it cannot be written.
    """
    refuse_full(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_folder(folder, winner.source, {**winner.facts, "versions": VERSIONS})
        (folder / README).write_text(readme(winner), encoding="utf-8")
    except OSError as error:
        raise DiscoverError(f"cannot write '{folder}': {error.strerror or error}") from error
    return folder


def readme(winner: Winner) -> str:
    """What the folder's README says."""
    return render("vllm.md.j2", winner, scheduler=SCHEDULER, versions=VERSIONS, prefix=PREFIX, settings=Settings())


def render(template: str, winner: Winner, **more: object) -> str:
    """A README from a template."""
    templates = Environment(
        loader=PackageLoader("discovery"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    return templates.get_template(template).render(
        winner=winner, meanings=MEANINGS, record=winner.facts["provenance"], version=__version__, **more
    )


def refuse_full(folder: Path) -> None:
    """Nothing is written over.

    Raises:
        UsageError: `folder` is a file, or holds something.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise UsageError(f"'{folder}' is there already; choose another folder or remove it")
