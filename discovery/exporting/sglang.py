"""The folder that SGLang runs a policy from, with a README that says how, and that it was not tried on a GPU."""

from __future__ import annotations

from pathlib import Path

from discovery.errors import DiscoverError
from discovery.exporting.vllm import README, refuse_full, render
from discovery.exporting.winner import Winner
from engine_bridge.sglang import TARGET
from engine_bridge.vllm.settings import PREFIX, Settings
from evaluators.sglang_folder import PLUGIN, sglang_files
from evaluators.vllm_folder import write_folder


def export_sglang(winner: Winner, folder: Path) -> Path:
    """Write the folder; its path.

    Raises:
        UsageError: there is something in it already.
        DiscoverError: it cannot be written.
    """
    refuse_full(folder)
    text = render("sglang.md.j2", winner, target=TARGET, plugin=PLUGIN, prefix=PREFIX, settings=Settings())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_folder(folder, winner.source, winner.facts, sglang_files())
        (folder / README).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DiscoverError(f"cannot write '{folder}': {error.strerror or error}") from error
    return folder
