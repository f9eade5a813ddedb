"""A vLLM scheduler with a crowd waiting: what a step costs, with hooks and without."""

from __future__ import annotations

from typing import Any

from vllm.sampling_params import SamplingParams
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import RequestStatus

from tests.vllm.driver import make_request, make_scheduler

BLOCK = 16
BUDGET = 1024
"""Tokens of a step."""
OUTPUT = 2000
"""Tokens that those that run generate."""


class Crowd:
    """`running` requests decode; `waiting` others, each longer than a step, find no place; `room` more could run.

    Every step is the same, unless those that wait `turn`.
    """

    def __init__(self, kind: type, running: int, waiting: int, *, prompt: int = 64, room: int = 8) -> None:
        settings = {
            "block_size": BLOCK,
            "blocks": running * (prompt + OUTPUT) // BLOCK + running,
            "max_running": running + room,
            "max_tokens": BUDGET,
            "long_prefill": 0,
            "reserve": True,
            "watermark": 0.0,
            "prefix_cache": True,
        }
        self.scheduler: Any = make_scheduler(settings, kind)
        self.scheduler.scheduler_config.enable_chunked_prefill = False
        init_none_hash(sha256)
        self._hasher = get_request_block_hasher(BLOCK, sha256)
        self._count = 0
        self._running, self._waiting, self._prompt = running, waiting, prompt
        self._gone: list[Any] = []

    def fill(self) -> None:
        """Have all arrive and those that fit start."""
        for _ in range(self._running):
            self.add(self._prompt, OUTPUT)
        while len(self.scheduler.running) < self._running:
            self.step()
        for _ in range(self._waiting):
            self.add(BUDGET + 1, 10 + self._count * 7919 % 500)

    def add(self, prompt: int, output: int) -> None:
        """One more request."""
        number = self._count
        self._count += 1
        parameters = SamplingParams(max_tokens=output, ignore_eos=True)
        parameters.update_from_generation_config({}, None)
        tokens = [number % 97, *range(prompt - 1)]
        self.scheduler.add_request(make_request(f"request-{number}", tokens, parameters, self._hasher))

    def turn(self) -> None:
        """The first of those that wait leaves and another comes."""
        first = self.scheduler.waiting[0]
        self._gone.append(first)  # so that what it takes to clear it away is nobody's time
        self.scheduler.finish_requests(first.request_id, RequestStatus.FINISHED_ABORTED)
        self.add(BUDGET + 1, 10 + self._count * 7919 % 500)

    def step(self) -> None:
        """Schedule and finish one step."""
        self.finish(self.scheduler.schedule())

    def finish(self, output: SchedulerOutput) -> None:
        """Make up what the model would say to a step."""
        names = list(output.num_scheduled_tokens)
        sampled = [[7] for _ in names]
        places = {name: place for place, name in enumerate(names)}
        self.scheduler.update_from_output(
            output, ModelRunnerOutput(req_ids=names, req_id_to_index=places, sampled_token_ids=sampled)
        )
