"""Batch ordering: a priority decides in which order waiting requests are admitted to chunked prefill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from problems.base import (
    Argument,
    Array,
    Ask,
    Bound,
    Entry,
    Instance,
    InstanceError,
    Problem,
    Record,
    check_scores,
)
from problems.batch_order.costs import Objective, cost_of
from problems.batch_order.instances import SPLITS, fresh_split, standard_split
from problems.batch_order.schedule import check_schedule, completion_times
from problems.batch_order.search import simulation_of
from problems.batch_order.trusted import trusted_asks

HERE = Path(__file__).parent
LARGEST = {"prompt": 10**6, "output": 10**6, "arrival": 10**9, "deadline": 10**10}
"""Values beyond these are refused, so that every total fits into 64 bits and the simulation into memory."""

PROMPT = Argument("prompt", "prompt length: tokens to prefill", sign="positive")
OUTPUT = Argument("output", "output length: tokens to generate", sign="positive")
ARRIVAL = Argument("arrival", "the iteration in which the request arrived", sign="nonnegative")
WAITED = Argument("waited", "iterations it has waited since", sign="nonnegative")
DEADLINE = Argument("deadline", "the time by which the request should complete", sign="nonnegative")
STATE = Record(
    "state",
    "the server at this moment",
    (
        Argument("now", "the number of this iteration", "scalar", "nonnegative"),
        Argument("free_tokens", "tokens of this iteration's budget that are left", "scalar", "positive"),
        Argument("free_kv", "tokens of KV that are free in this iteration", "scalar", "positive"),
        Argument("spare_kv", "tokens of KV that those running will never need", "scalar", "nonnegative"),
        Argument("running", "how many requests run", "scalar", "nonnegative"),
        Argument("budget", "tokens that an iteration can process", "scalar", "positive"),
        Argument("capacity", "tokens of KV in all", "scalar", "positive"),
    ),
)
MODEL = """\
An LLM server works in iterations. Request i has a prompt of `prompt` tokens, which is prefilled in one or more
chunks, and generates `output` tokens. The iteration that finishes the prompt emits the first output token, every
following one another (one token of the budget each): decodes never pause. An iteration processes at most `budget`
tokens in all, and the unfinished requests' tokens of KV (prefilled and decoded so far) may never exceed `capacity`.
In each iteration running requests go first; the tokens left admit waiting requests in the order of your scores, the
last one with a chunk of its prompt only. A request is admitted only if its whole future fits into the KV capacity
together with those that run, and admission stops at the first that does not fit: who is put first can block others.

{goal}

You write `priority(requests, state)`. It is called whenever more than one request waits, tokens are left, and
something has arrived, finished or been admitted. The fields of `requests` are float arrays of equal length, one value
per waiting request; those of `state` are numbers. It returns one score per waiting request as an array of that
length. The request with the LOWEST score goes first; equal scores go in the order shown."""


def entry(*more: Argument) -> Entry:
    """The entry function, with `more` fields of the requests."""
    requests = Record("requests", "the requests that wait", (PROMPT, OUTPUT, ARRIVAL, WAITED, *more))
    return Entry("priority", (requests, STATE), "one score per waiting request, lowest goes first", "interactive")


class BatchOrdering(Problem):
    """What the three problems share: instances, the simulation, and the check of a schedule."""

    splits = tuple(SPLITS["completion"])
    baselines = HERE / "baselines" / "order"
    instance_scalars = ("budget", "capacity")
    hints = (
        "Consider how much of the KV capacity a request holds, and for how long.",
        "Consider what the tokens left in this iteration are enough for.",
        "Consider that a long decode started early runs beside everything else.",
        "Consider which request, put first, would block the others because it does not fit.",
        "Consider the ratio of output to prompt: decodes are cheap in tokens but long.",
        "Consider how the rule should change when few requests wait, or when the cache is nearly full.",
    )
    objective: ClassVar[Objective]

    def split(self, name: str) -> Sequence[Instance]:
        """Small instances whose optima can be proved; `large`: 50 to 300 requests drawn from traces."""
        return standard_split(name, self.objective)

    def fresh(self, seed: int) -> Sequence[Instance]:
        """Others from the families of the test split, see `instances.FRESH`."""
        return fresh_split(seed, self.objective)

    def parse(self, record: Mapping[str, object], name: str) -> Instance:
        """As for every problem; a list `id` may name the requests, and is not kept."""
        values = dict(record)
        if (ids := values.pop("id", None)) is not None:
            _check_ids(ids, values.get("prompt"), name)
        return super().parse(values, name)

    def validate(self, instance: Instance) -> None:
        """Whole numbers in range, at least one request, and none that could never run."""
        super().validate(instance)
        if not len(instance["prompt"]):
            raise InstanceError(f"{instance.name}: there are no requests; give at least one")
        for field in self.instance_scalars:
            value = instance[field]
            if value.dtype != np.int64 or not 1 <= value <= 2**40:
                raise InstanceError(f"{instance.name}: '{field}' is {value}; it must be a whole number from 1 to 2^40")
        for field in self.instance_fields:
            _check_values(instance, field)
        peak = instance["prompt"] + instance["output"] - 1
        if (peak > instance["capacity"]).any():
            i = int(np.argmax(peak > instance["capacity"]))
            raise InstanceError(
                f"{instance.name}: request {i} needs {peak[i]} tokens of KV (prompt + output - 1), more than the"
                f" capacity of {instance['capacity']}; raise 'capacity' or leave the request out"
            )

    def cpu_limit(self, instance: Instance) -> float:
        """1 ms a request: it is asked about once for each."""
        return 0.001 * len(instance["prompt"]) + 0.02

    def decide(self, instance: Instance, ask: Ask) -> Array:
        """Simulate, asking for scores whenever there is a choice; the schedule as chunks, shape (k, 3)."""
        simulation = simulation_of(instance)
        vectors = [instance[field].astype(np.float64) for field in self.instance_fields]
        arrival, fixed = vectors[2], [float(simulation.budget), float(simulation.capacity)]
        while simulation.advance():
            waiting, now = simulation.waiting, simulation.now
            prompt, output, arrived, *more = (vector[waiting] for vector in vectors)
            state = [now, simulation.free_tokens, simulation.free_kv, simulation.spare_kv, simulation.running, *fixed]
            scalars = [np.array(value, dtype=np.float64) for value in state]
            waited = now - arrival[waiting]
            arrays = [prompt, output, arrived, waited, *more, *scalars]
            scores = ask(self.entry.function, arrays, records=self.entry.records)
            check_scores(scores, len(waiting))
            simulation.admit(scores)
        return simulation.chunks

    def check(self, instance: Instance, decision: Array) -> None:
        """Every row of the model, from the instance and the chunks alone."""
        check_schedule(instance, decision)

    def cost(self, instance: Instance, decision: Array) -> float:
        """The objective of a checked schedule."""
        return cost_of(self.objective, instance, completion_times(instance, decision))

    def bound(self, instance: Instance) -> Bound:
        """The largest of the ladder, with the best known schedule."""
        from problems.batch_order.bounding import certify  # PuLP takes a while to import

        assert self.baselines is not None
        schedules = [self.decide(instance, ask) for ask in trusted_asks(self.baselines)]
        return certify(instance, self.objective, schedules)


class BatchOrder(BatchOrdering):
    """Minimise the total completion time."""

    name = "batch_order"
    objective = "completion"
    entry = entry()
    instance_fields = ("prompt", "output", "arrival")
    best_baseline = "two_areas"
    seeds = ("fcfs", "shortest_prefill", "least_tokens", "two_areas")
    bounds = HERE / "bounds" / "completion"
    brief = MODEL.format(goal="Minimise the sum of the requests' completion times.")


class BatchOrderMakespan(BatchOrdering):
    """Minimise the time by which everything is done."""

    name = "batch_order_makespan"
    objective = "makespan"
    entry = entry()
    instance_fields = ("prompt", "output", "arrival")
    best_baseline = "decode_ratio"
    seeds = ("fcfs", "longest_output", "decode_ratio")
    bounds = HERE / "bounds" / "makespan"
    brief = MODEL.format(goal="Minimise the makespan: the time at which the last request completes.")


class BatchOrderLate(BatchOrdering):
    """Minimise the number of requests that miss their deadline."""

    name = "batch_order_late"
    objective = "late"
    entry = entry(DEADLINE)
    instance_fields = ("prompt", "output", "arrival", "deadline")
    baselines = HERE / "baselines" / "late"
    best_baseline = "tokens_hopeful"
    seeds = ("fcfs", "edf", "shortest_prefill", "tokens_hopeful")
    bounds = HERE / "bounds" / "late"
    brief = MODEL.format(
        goal="Minimise the number of requests that complete after their `deadline`; how late they are does not matter."
    )


def _check_values(instance: Instance, field: str) -> None:
    values = instance[field]
    if values.dtype != np.int64:
        raise InstanceError(f"{instance.name}: '{field}' holds fractions; tokens and iterations are whole numbers")
    least = 1 if field in ("prompt", "output") else 0
    wrong = np.flatnonzero((values < least) | (values > LARGEST[field]))
    if len(wrong):
        i = int(wrong[0])
        raise InstanceError(
            f"{instance.name}: '{field}' of request {i} is {values[i]}; it must be {least} or more, {LARGEST[field]}"
            " at most"
        )


def _check_ids(ids: object, prompts: object, name: str) -> None:
    if not isinstance(ids, list) or not all(type(value) in (int, str) for value in ids):
        raise InstanceError(f"{name}: 'id' must be a flat list of numbers or texts")
    if isinstance(prompts, list) and len(ids) != len(prompts):
        raise InstanceError(f"{name}: {len(ids)} ids for {len(prompts)} requests; give one id per request")
    first: dict[object, int] = {}
    for i, value in enumerate(ids):
        if value in first:
            raise InstanceError(f"{name}: requests {first[value]} and {i} have the same id {value!r}; ids are unique")
        first[value] = i
