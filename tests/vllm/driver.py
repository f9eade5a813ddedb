"""vLLM's side of the comparison: its real `Scheduler` and KV cache manager, fed with a made-up model output.

Runs in an environment of its own (`make test-vllm`). The scheduler is the synchronous `Scheduler`; `AsyncScheduler`
has placeholders for tokens that are still on their way, which change the steps.
"""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from vllm.config import CacheConfig, DeviceConfig, ModelConfig, SchedulerConfig, VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

from engine_bridge.policy import VECTOR_NAMES, View, check_answer
from engine_bridge.vllm.support import limit_name
from tests.vllm.cases import Case, Record, Step, Weighted

MODEL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "max_position_embeddings": 100_000,
    "torch_dtype": "float32",
}
"""The smallest model that the configuration accepts; it is never run."""


def known(kind: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """Those of `arguments` that this version's `kind` takes: versions differ in what can be set."""
    return {name: value for name, value in arguments.items() if name in inspect.signature(kind).parameters}


def make_scheduler(settings: dict[str, Any], kind: type[Scheduler] = Scheduler) -> Scheduler:
    """A synchronous scheduler with these settings (`EngineSettings`); `kind` is `Scheduler` or derived from it."""
    size, blocks = settings["block_size"], settings["blocks"] + 1
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(MODEL))
        model = ModelConfig(model=folder, skip_tokenizer_init=True, dtype="float32", max_model_len=100_000)
        scheduling = SchedulerConfig(
            **known(
                SchedulerConfig,
                max_num_seqs=settings["max_running"],
                max_num_batched_tokens=max(settings["max_tokens"], settings["max_running"]),
                max_num_scheduled_tokens=settings["max_tokens"],
                long_prefill_token_threshold=settings["long_prefill"],
                scheduler_reserve_full_isl=settings["reserve"],
                watermark=settings["watermark"],
                max_model_len=100_000,
                enable_chunked_prefill=True,
                is_encoder_decoder=False,
                async_scheduling=False,
            )
        )
        cache = CacheConfig(block_size=size, gpu_memory_utilization=0.9, enable_prefix_caching=settings["prefix_cache"])
        config = VllmConfig(
            model_config=model, scheduler_config=scheduling, cache_config=cache, device_config=DeviceConfig("cpu")
        )
    cache.num_gpu_blocks = blocks
    spec = FullAttentionSpec(block_size=size, num_kv_heads=1, head_size=1, dtype=torch.float32)
    kv = KVCacheConfig(num_blocks=blocks, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)])
    scheduler = kind(
        vllm_config=config,
        kv_cache_config=kv,
        structured_output_manager=StructuredOutputManager(config),
        block_size=size,
    )
    assert isinstance(scheduler, Scheduler)
    scheduler.max_num_scheduled_tokens = settings["max_tokens"]  # not to be set otherwise in older versions
    return scheduler


def make_request(
    name: str, prompt: list[int], parameters: SamplingParams, hasher: Callable[..., Any] | None, **more: Any
) -> Request:
    """A request as vLLM's front end hands it to the scheduler; tokens that end it are not known."""
    arguments = known(Request, request_id=name, prompt_token_ids=prompt, sampling_params=parameters, eos_token_id=None)
    return Request(**arguments, pooling_params=None, block_hasher=hasher, **more)


def tokens_of(case: Case, request: int) -> list[int]:
    """The prompt of a request: tokens of its prefix blocks, then tokens that no other request has."""
    shared = [number * 1000 + place for number in case.prefix[request] for place in range(case.hash_block)]
    own = [10**8 + request * 10**5 + place for place in range(case.prompt[request])]
    return [*shared, *own[len(shared) :]][: case.prompt[request]]


class Driver:
    """Runs one case on vLLM's scheduler, with the policy's answers carried out before each `schedule()`."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.facts = case.workload()
        self.scheduler = self.make_scheduler()
        self.policy = Weighted(case.policy)
        self.now, self.last_step = 0.0, 0.0
        self.last = np.array(case.arrival, dtype=np.float64)
        self.arrived = 0
        init_none_hash(sha256)
        self.hasher = get_request_block_hasher(case.settings["block_size"], sha256)
        self.step = Step()
        self._watch("_preempt_request", lambda: self.step.preempted)
        self._watch("_free_request", lambda: self.step.finished)

    def make_scheduler(self) -> Scheduler:
        """The scheduler to be driven."""
        return make_scheduler(self.case.settings)

    def extra(self, number: int) -> dict[str, float] | None:
        """What the sender of a request says of it; this driver looks the facts up by itself."""
        return None

    def _watch(self, method: str, target: Callable[[], list[int]]) -> None:
        """Note the requests a method is called with, in order."""
        original = getattr(self.scheduler, method)

        def watched(request: Request, *arguments: Any, **named: Any) -> Any:
            target().append(int(request.request_id))
            return original(request, *arguments, **named)

        setattr(self.scheduler, method, watched)

    @property
    def limit(self) -> int:
        """How many requests may run."""
        return int(getattr(self.scheduler, limit_name(self.scheduler)))

    @limit.setter
    def limit(self, limit: int) -> None:
        setattr(self.scheduler, limit_name(self.scheduler), limit)

    def run(self) -> Record:
        """Serve all requests."""
        steps = []
        while True:
            self.receive()
            if not self.scheduler.running and not self.scheduler.waiting:
                if self.arrived == len(self.case.prompt):
                    return Record(steps, self.policy.views)
                self.now = float(self.case.arrival[self.arrived])
                continue
            self.step = Step()
            self.ask()
            output = self.schedule()
            self.note(output)
            self.generate(output)
            self.step.free = self.scheduler.kv_cache_manager.block_pool.get_num_free_blocks()
            steps.append(self.step)

    def schedule(self) -> SchedulerOutput:
        """One step; if the policy's answers schedule nothing, a second call without them: the liveness rule."""
        output = self.scheduler.schedule()
        if output.num_scheduled_tokens or not self.policy.functions:
            return output
        self.scheduler.max_num_scheduled_tokens = self.case.settings["max_tokens"]
        self.limit = self.case.settings["max_running"]
        return self.scheduler.schedule()

    def receive(self) -> None:
        """Hand over what has arrived by now."""
        case = self.case
        while self.arrived < len(case.prompt) and case.arrival[self.arrived] <= self.now:
            number = self.arrived
            parameters = SamplingParams(max_tokens=case.output[number], ignore_eos=True, extra_args=self.extra(number))
            parameters.update_from_generation_config({}, None)
            hasher = self.hasher if case.settings["prefix_cache"] else None
            request = make_request(str(number), tokens_of(case, number), parameters, hasher, arrival_time=self.now)
            self.scheduler.add_request(request)
            self.arrived += 1

    def note(self, output: SchedulerOutput) -> None:
        """Note what was scheduled and admitted."""
        self.step.scheduled = [[int(name), tokens] for name, tokens in output.num_scheduled_tokens.items()]
        resumed = {int(name) for name in output.scheduled_cached_reqs.resumed_req_ids}
        fresh = {int(request.req_id) for request in output.scheduled_new_reqs} | resumed
        self.step.admitted = [request for request, _ in self.step.scheduled if request in fresh]

    def generate(self, output: SchedulerOutput) -> None:
        """The model's part: a token of its own for every request whose tokens are all computed."""
        names = list(output.num_scheduled_tokens)
        seconds = 1.0 if names else 0.0
        self.now += seconds
        self.last_step = seconds
        sampled = []
        for name in names:
            request = self.scheduler.requests[name]
            due = request.num_computed_tokens == request.num_tokens
            sampled.append([10**8 + int(name) * 10**5 + request.num_tokens] if due else [])
            if due:
                self.last[int(name)] = self.now
        places = {name: place for place, name in enumerate(names)}
        self.scheduler.update_from_output(
            output, ModelRunnerOutput(req_ids=names, req_id_to_index=places, sampled_token_ids=sampled)
        )

    def ask(self) -> None:
        """Ask the policy as the protocol says and carry its answers out."""
        scheduler, settings = self.scheduler, self.case.settings
        window = settings["window"]
        room = len(scheduler.running) < settings["max_running"]
        if "rank_waiting" in self.policy.functions and room and len(scheduler.waiting) > 1:
            shown = list(scheduler.waiting)[:window]
            rest = list(scheduler.waiting)[window:]
            order = np.argsort(self.answer("rank_waiting", [], shown), kind="stable")
            scheduler.waiting.clear()
            scheduler.waiting.extend([*(shown[place] for place in order), *rest])
        if "rank_running" in self.policy.functions and len(scheduler.running) > 1:
            order = np.argsort(self.answer("rank_running", scheduler.running, []), kind="stable")
            scheduler.running[:] = [scheduler.running[place] for place in order]
        everyone = scheduler.running, list(scheduler.waiting)[:window]
        scheduler.max_num_scheduled_tokens = settings["max_tokens"]
        self.limit = settings["max_running"]
        if "token_budget" in self.policy.functions:
            scheduler.max_num_scheduled_tokens = int(self.answer("token_budget", *everyone))
        if "admit_limit" in self.policy.functions and room and scheduler.waiting:
            self.limit = int(self.answer("admit_limit", *everyone))

    def answer(self, function: str, running: list[Request], waiting: list[Request]) -> np.ndarray:
        """The policy's checked answer."""
        view = self.view(running, waiting)
        return check_answer(function, self.policy.ask(function, view), view)

    def view(self, running: list[Request], waiting: list[Request]) -> View:
        """The view of the scheduler's present state."""
        scheduler, facts, settings = self.scheduler, self.facts, self.case.settings
        manager = scheduler.kv_cache_manager
        rows = []
        for request in (*running, *waiting):
            number = int(request.request_id)
            runs = request in running
            rows.append(
                (
                    number,
                    facts.arrival[number],
                    request.num_prompt_tokens,
                    request.num_computed_tokens,
                    0 if runs else manager.get_computed_blocks(request)[1],
                    request.num_output_tokens,
                    facts.predicted[number],
                    facts.arrival[number] + facts.ttft[number],
                    facts.tpot[number],
                    facts.priority[number],
                    facts.group[number],
                    len(manager.get_blocks(request.request_id).blocks[0]),
                    self.last[number],
                    runs,
                )
            )
        numbers = (
            self.now,
            manager.block_pool.get_num_free_blocks(),
            settings["blocks"],
            settings["block_size"],
            self.last_step,
            settings["max_tokens"],
            settings["max_running"],
            len(scheduler.waiting),
            len(scheduler.running),
        )
        vectors = np.array(rows, dtype=np.float64).reshape(len(rows), len(VECTOR_NAMES)).T.copy()
        return View(vectors, np.array(numbers, dtype=np.float64))
