"""Exports for SGLang: as those for vLLM, with an entry point that SGLang's plug-in loader finds on `PYTHONPATH`."""

from __future__ import annotations

from engine_bridge.sglang import GROUP
from evaluators.vllm_folder import RUNTIME, copied, runtime_files

PLUGIN = "scheduling_policy"
"""The plug-in's name, as `SGLANG_PLUGINS` lists it."""
DIST_INFO = f"{PLUGIN}-1.0.dist-info"
"""A folder by which Python knows an installed distribution; one on `PYTHONPATH` counts as installed."""


def sglang_files() -> dict[str, str]:
    """The files that run a policy: their text by their path in the folder."""
    runtime = {name: text for name, text in runtime_files().items() if name.startswith(RUNTIME)}
    return {
        **runtime,
        f"{RUNTIME}/sglang.py": copied("engine_bridge.sglang"),
        "sglang_policy.py": copied("evaluators.sglang_entry"),
        f"{DIST_INFO}/METADATA": f"Metadata-Version: 2.1\nName: {PLUGIN.replace('_', '-')}\nVersion: 1.0\n",
        f"{DIST_INFO}/entry_points.txt": f"[{GROUP}]\n{PLUGIN} = sglang_policy:register\n",
    }
