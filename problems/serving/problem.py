"""Serving: a policy decides, step by step, what an engine with continuous batching does for the requests it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from engine_bridge.online import NoProgress, simulate
from engine_bridge.policy import CORE, ENGINES, SCALARS, VECTORS, Asked, InvalidAnswer
from engine_bridge.settings import check_workload
from problems.base import (
    Argument,
    Array,
    Ask,
    Bound,
    Companion,
    Entry,
    Instance,
    InstanceError,
    InvalidDecision,
    Problem,
    Record,
)
from problems.serving.bounding import least_times
from problems.serving.costs import Objective, cost_of, figures
from problems.serving.instances import (
    SPLITS,
    CostVector,
    fresh_split,
    from_lists,
    settings_of,
    standard_split,
    traffic_of,
)
from problems.serving.skeleton import skeleton

HERE = Path(__file__).parent
STEPS_PER_TOKEN = 2
"""A simulation may take so many steps for each output token; FCFS takes a small part of one."""

VIEW = Record(
    "view",
    "the requests shown, in the order of the queue, and the engine",
    (
        *(Argument(field.name, field.meaning, sign=field.sign) for field in VECTORS),
        *(Argument(field.name, field.meaning, "scalar", field.sign) for field in SCALARS),
    ),
)
COMPANIONS = (
    Companion(
        "rank_running",
        "shown the running requests, two or more; one score each. Tokens are given in this order, and when KV blocks"
        " run out the last is preempted: it loses its KV and waits at the front. Without it: the order of admission",
    ),
    Companion(
        "token_budget",
        "shown the running requests, then the waiting ones; how many tokens this step may process, from 1 to"
        " view.max_tokens. Without it: view.max_tokens",
    ),
    Companion(
        "admit_limit",
        "shown the same, if any wait; how many requests may run. Without it: view.max_running",
    ),
    *(
        Companion(function, "an extension that not every engine carries out: see engine_bridge.policy", told=False)
        for function in sorted(ENGINES["sim"] - set(CORE))
    ),
)
MODEL = """\
An engine serves a large language model by continuous batching. It works in steps. In a step every running request gets
tokens in turn, as long as the step's budget lasts: one token if it decodes, or a chunk of its prompt that is still to
be processed. Then waiting requests are admitted in order, as long as budget and places last, up to the first whose
prompt does not fit into the free KV blocks: who is put first can block the others. The KV of a prefix that is still in
the cache need not be computed again. When a running request needs a block and none is free, the last running request
is preempted. A step takes longer the more tokens it processes and the more KV its decodes read: below about 160 tokens
it is bound by reading the weights (3.3 ms), above by arithmetic (20 us a token), so a long chunk of a prompt makes all
decodes of the step wait. When all tokens of a prompt are processed, the first output token is there, and each later
step the request takes part in gives one more. How many it will generate is not known, only predicted.

{goal}

You write `rank_waiting(view)`. It is called before a step in which two or more requests wait, and shown those that
wait, the first 256 at most. The vectors of `view` are float arrays with one value per request shown, in the present
order (by arrival, preempted ones first); the scalars are numbers. It returns one score per request as an array of that
length. The request with the LOWEST score is admitted first; equal scores keep the present order."""


class ServingProblem(Problem):
    """What the problems share: instances, the simulation, and the check of its times."""

    entry = Entry(
        "rank_waiting", (VIEW,), "one score per waiting request, lowest goes first", "interactive", (), COMPANIONS
    )
    splits = tuple(SPLITS)
    baselines = HERE / "policies"
    skeleton = skeleton(VIEW)
    instance_fields = ("arrival", "prompt", "output", "predicted", "ttft", "tpot")
    instance_scalars = ("blocks",)
    hints = (
        "Consider what a request costs the others: tokens of its prompt that are not cached, and KV over its output.",
        "Consider how long a request has waited, so that none starves.",
        "Consider which requests can still meet their objective for the first token, and which no longer can.",
        "Consider what is left in the prefix cache and will soon be evicted.",
        "Consider which request, put first, would block the others because its prompt does not fit.",
        "Consider that predictions are wrong by a factor now and then, and prompts are not.",
        "Consider that a few short outputs that wait cost more than one long output that waits.",
    )
    objective: ClassVar[Objective]

    def split(self, name: str) -> Sequence[Instance]:
        """Slices of synthetic traces, train before validation before test; see `instances`."""
        return standard_split(name)

    def fresh(self, seed: int) -> Sequence[Instance]:
        """Slices of other traces of the same families."""
        return fresh_split(seed)

    def parse(self, record: Mapping[str, object], name: str) -> Instance:
        """Lists of requests; the engine is the standard one, but for its KV blocks."""
        return from_lists(super().parse(record, name))

    def validate(self, instance: Instance) -> None:
        """The rules of the simulator: ascending arrivals, whole token numbers from 1, objectives above 0."""
        for field in (*self.instance_fields, *self.instance_scalars):
            _check_values(instance, field)
        lengths = {field: len(instance[field]) for field in self.instance_fields}
        if len(set(lengths.values())) > 1 or not lengths["arrival"]:
            raise InstanceError(f"{instance.name}: lists of lengths {lengths}; give one value for each request")
        whole = from_lists(instance)
        try:
            check_workload(traffic_of(whole), settings_of(whole))
        except ValueError as error:
            raise InstanceError(f"{instance.name}: {error}") from None

    def cpu_limit(self, instance: Instance) -> float:
        """A second, and what a slow policy takes that is asked several questions in every step."""
        return 1.0 + 0.005 * len(instance["arrival"]) + 5e-5 * float(instance["output"].sum())

    def decide(self, instance: Instance, ask: Ask) -> Array:
        """As `decide_with`, for a policy with `rank_waiting` alone."""
        return self.decide_with(instance, ask, frozenset((self.entry.function,)))

    def decide_with(self, instance: Instance, ask: Ask, functions: frozenset[str]) -> Array:
        """What serving leads to: times of first token and end of each request (s); shape (n, 2)."""
        try:
            outcome = simulate(
                traffic_of(instance),
                Asked(ask, functions),
                settings_of(instance),
                CostVector(instance["cost"]),
                strict=True,
                max_steps=STEPS_PER_TOKEN * int(instance["output"].sum()) + 1000,
            )
        except (InvalidAnswer, NoProgress) as error:
            raise InvalidDecision(str(error)) from error
        return np.stack((outcome.first_token, outcome.finish), axis=1)

    def check(self, instance: Instance, decision: Array) -> None:
        """Finite times, and no request faster than it could be alone on the machine."""
        n = len(instance["arrival"])
        if decision.shape != (n, 2) or decision.dtype != np.float64:
            raise InvalidDecision(f"expected times of shape ({n}, 2), got {decision.dtype} of {decision.shape}")
        if not np.isfinite(decision).all():
            raise InvalidDecision(f"request {int(np.isfinite(decision).all(axis=1).argmin())} is never finished")
        for what, seconds, least in zip(
            ("its first token", "the rest of its output"),
            _times(instance, decision),
            least_times(instance),
            strict=True,
        ):
            if (seconds < least).any():
                i = int(np.argmax(seconds < least))
                raise InvalidDecision(f"request {i} takes {seconds[i]:g} s for {what}; alone it takes {least[i]:g} s")

    def cost(self, instance: Instance, decision: Array) -> float:
        """The objective of checked times."""
        return cost_of(self.objective, instance, *_times(instance, decision))

    def bound(self, instance: Instance) -> Bound:
        """The objective if every request were alone on the machine: see `bounding`."""
        return Bound(cost_of(self.objective, instance, *least_times(instance)), "lower", "no queue", 0.0)

    def reports(self, instance: Instance, decision: Array) -> dict[str, float]:
        """SLO attainment, goodput, TTFT and TPOT."""
        return figures(instance, *_times(instance, decision))


class Serving(ServingProblem):
    """Minimise the mean normalised latency."""

    name = "serving"
    objective = "latency"
    best_baseline = "sjf_256"
    seeds = ("fcfs", "sjf", "lpm", "sjf_256")
    brief = MODEL.format(
        goal="Minimise the mean normalised latency: the mean over all requests of (finish - arrival) / output tokens."
    )


class ServingSlo(ServingProblem):
    """Minimise TTFT and TPOT, weighed against their objectives."""

    name = "serving_slo"
    objective = "slo"
    best_baseline = "slai"
    seeds = ("fcfs", "sjf", "lpm", "sjf_256")
    brief = MODEL.format(
        goal="Minimise the mean over all requests of TTFT / (its objective) + TPOT / (its objective), halved, where"
        " TTFT = first token - arrival and TPOT = (finish - first token) / (output tokens - 1)."
    )


def _times(instance: Instance, decision: Array) -> tuple[Array, Array]:
    """Seconds from arrival to first token, and from there to the end; two arrays of shape (n,)."""
    return decision[:, 0] - instance["arrival"], decision[:, 1] - decision[:, 0]


def _check_values(instance: Instance, field: str) -> None:
    """Refuse values out of range, and fractions of tokens."""
    values = np.atleast_1d(instance[field])
    whole = field in ("prompt", "output", "predicted", "blocks")
    least, most = (1, 2**24) if whole else (0, 1e7) if field == "arrival" else (1e-6, 1e7)
    wrong = (values < least) | (values > most)
    if wrong.any() or (whole and values.dtype != np.int64):
        kind = "a whole number" if whole else "a number"
        value = values[int(wrong.argmax())]
        raise InstanceError(f"{instance.name}: '{field}' holds {value}; it must be {kind} from {least} to {most}")
