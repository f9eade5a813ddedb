"""SGLang with the policy of this folder; its plug-in loader finds `register` by an entry point:

    PYTHONPATH=DIR python -m sglang.launch_server --model-path MODEL

Which environment variables it reads and how to go back is said in README.md. Not run on a GPU so far.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from pathlib import Path

from engine_bridge.policy import UnsupportedFunction, require_engine
from engine_bridge.sglang import TARGET, Ranking, around
from engine_bridge.vllm.folder import POLICY, check_folder
from engine_bridge.vllm.guard import Guard
from engine_bridge.vllm.metrics import Metrics
from engine_bridge.vllm.settings import Settings
from evaluators.sandbox.tiers import IsolationUnavailable
from evaluators.served_policy import ServedSealedPolicy
from evaluators.verdict import CandidateFault, InfrastructureError

FOLDER = Path(__file__).parent
LOG = logging.getLogger("sglang.srt.scheduling_policy")


def register() -> None:
    """What SGLang calls in each of its processes before it starts; what this raises it logs, and goes on without.

    Raises:
        BrokenFolder: a file of this folder was changed.
        BadSetting: an environment variable holds what it must not.
    """
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    check_folder(FOLDER)
    Settings.of(os.environ)
    HookRegistry.register(TARGET, around(ranking), HookType.AROUND)


@cache
def ranking() -> Ranking | None:
    """What puts this process's queue in order, made when it is first asked for: only schedulers ask."""
    settings = Settings.of(os.environ)
    try:
        policy = ServedSealedPolicy((FOLDER / POLICY).read_text(encoding="utf-8"), settings)
        require_engine(policy, "sglang")
    except (CandidateFault, InfrastructureError, IsolationUnavailable, UnsupportedFunction, OSError) as error:
        LOG.error("scheduling policy: it does not start: %s; SGLang schedules alone", error)
        return None
    metrics = Metrics()
    LOG.info("scheduling policy: rank_waiting, sealed off in tier %s", policy.isolation)
    return Ranking(Guard(policy, metrics, LOG), settings, metrics)
