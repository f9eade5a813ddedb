"""What a vLLM must have to be steered, checked when its scheduler starts."""

from __future__ import annotations

from collections import deque
from typing import Any

VERSIONS = "0.9.2 … 0.33.0"
"""Releases whose schedulers were read; the tests say which were run."""

NEEDED = {
    "waiting": deque,
    "running": list,
    "requests": dict,
    "max_num_scheduled_tokens": int,
    "max_num_running_reqs": int,
    "kv_cache_manager": object,
    "cache_config": object,
}
"""Attributes of a scheduler that questions and answers need, and what they must be."""
NEEDED_OF_MANAGER = ("get_computed_blocks", "get_block_ids", "block_pool")


class UnsupportedVllm(RuntimeError):
    """This vLLM, or its configuration, cannot carry a policy out; the message says what is missing and what works."""


def check_scheduler(scheduler: Any, version: str) -> None:
    """Refuse a scheduler that the hooks do not fit.

    Raises:
        UnsupportedVllm: in one sentence, with the remedy.
    """
    waiting = getattr(scheduler, "waiting", None)
    if waiting is not None and not isinstance(waiting, deque):
        raise UnsupportedVllm(
            f"vLLM keeps its queue as a {type(waiting).__name__}, whose order a policy cannot set; "
            "start it with --scheduling-policy fcfs"
        )
    missing = [name for name, kind in NEEDED.items() if not isinstance(getattr(scheduler, name, None), kind)]
    manager = getattr(scheduler, "kv_cache_manager", None)
    missing += [f"kv_cache_manager.{name}" for name in NEEDED_OF_MANAGER if not hasattr(manager, name)]
    if missing:
        raise UnsupportedVllm(
            f"the scheduler of vLLM {version} has no {missing[0]} as policies need it; versions {VERSIONS} have: "
            "install one of them, or start vLLM without --scheduler-cls"
        )


def limit_name(scheduler: Any) -> str:
    """The attribute that says how many requests may run: newer versions keep it apart from the model runner's slots."""
    return "max_num_active_reqs" if hasattr(scheduler, "max_num_active_reqs") else "max_num_running_reqs"
