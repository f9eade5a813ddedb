"""vLLM's scheduler with the policy of this folder:

    PYTHONPATH=DIR vllm serve MODEL --scheduler-cls scheduler.PolicyScheduler

What it asks of vLLM, which environment variables it reads and how to go back is said in README.md.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if find_spec("numpy") is None:
    raise SystemExit("error: the scheduling policy needs NumPy, which this Python lacks; pip install numpy")

from engine_bridge.policy import UnsupportedFunction
from engine_bridge.vllm.folder import POLICY, BrokenFolder, check_folder
from engine_bridge.vllm.scheduler import LOG, build
from engine_bridge.vllm.settings import BadSetting, Settings
from engine_bridge.vllm.support import UnsupportedVllm
from evaluators.sandbox.tiers import IsolationUnavailable
from evaluators.served_policy import ServedSealedPolicy
from evaluators.verdict import CandidateFault, InfrastructureError

FOLDER = Path(__file__).parent


class CannotStart(RuntimeError):
    """The scheduler cannot start; the message says why and what to do."""


def open_policy(settings: Settings) -> ServedSealedPolicy:
    """The policy of this folder, in a process of its own."""
    check_folder(FOLDER)
    policy = ServedSealedPolicy((FOLDER / POLICY).read_text(encoding="utf-8"), settings)
    LOG.info("scheduling policy: sealed off in tier %s", policy.isolation)
    return policy


class PolicyScheduler:
    """What `--scheduler-cls` names. Making one gives the scheduler that vLLM would take by itself, with hooks.

    Raises:
        CannotStart: a file of this folder was changed, this vLLM has not what it takes, or the policy does not load.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """The scheduler: no instance of this class, but of one derived from vLLM's."""
        try:
            return build(open_policy, Settings.of(os.environ), *args, **kwargs)
        except (BrokenFolder, BadSetting, UnsupportedVllm, UnsupportedFunction, IsolationUnavailable) as error:
            raise CannotStart(str(error)) from None
        except (CandidateFault, InfrastructureError) as error:
            raise CannotStart(f"the policy in '{FOLDER / POLICY}' does not start: {error}") from None
