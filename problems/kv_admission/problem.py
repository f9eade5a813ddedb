"""KV admission: a priority decides which waiting requests start, as their memory allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from engine_bridge.simulator import Simulation
from problems.base import (
    Argument,
    Array,
    Ask,
    Bound,
    Entry,
    Instance,
    InstanceError,
    InvalidDecision,
    Problem,
    Record,
    check_scores,
)
from problems.kv_admission.instances import SPLITS, standard_split
from problems.kv_admission.memory import areas, held_at_ends, total_latency

HERE = Path(__file__).parent
LARGEST = 2**30
"""Tokens beyond this are refused, so that every total fits into 64 bits."""
ROUNDS = 2**24
"""More rounds than this are refused: memory is kept track of round by round."""

REQUESTS = Record(
    "requests",
    "the waiting requests",
    (
        Argument("prompt", "tokens of the prompt, held from the first round to the last", sign="positive"),
        Argument("output", "tokens to generate, one a round: how many rounds the request runs", sign="positive"),
        Argument("arrival", "the round the request arrived in", sign="nonnegative"),
        Argument("waited", "rounds since then", sign="nonnegative"),
        Argument("peak", "prompt + output: the tokens it holds in its last round", sign="positive"),
        Argument("area", "token-rounds of memory it will take in all", sign="positive"),
        Argument("room", "tokens of memory left in the tightest round if it alone started now; negative: it cannot"),
    ),
)
STATE = Record(
    "state",
    "the server",
    (
        Argument("now", "the present round", "scalar", "nonnegative"),
        Argument("free", "tokens of memory that are free in this round", "scalar", "nonnegative"),
        Argument("capacity", "tokens of memory in all", "scalar", "positive"),
        Argument("running", "how many requests run", "scalar", "nonnegative"),
        Argument("waiting", "how many requests wait", "scalar", "positive"),
    ),
)


class KvAdmission(Problem):
    """Minimise the total latency of requests whose memory grows by a token a round, under a capacity."""

    name = "kv_admission"
    entry = Entry(
        "admit_priority", (REQUESTS, STATE), "one score per waiting request, lowest goes first", "interactive"
    )
    splits = tuple(SPLITS)
    baselines = HERE / "baselines"
    best_baseline = "kv_area_backfill"
    seeds = ("mc_sf", "kv_area", "kv_area_backfill")
    bounds = HERE / "bounds"
    instance_fields = ("prompt", "output", "arrival")
    instance_scalars = ("capacity",)
    brief = """\
A server for a large language model runs requests in rounds. Request i arrives in round a[i] with a prompt of s[i]
tokens and generates o[i] tokens, one a round. Started in round k it runs in the next o[i] rounds without a break and
holds s[i] + j tokens of memory (its KV cache) in the j-th of them; then it is finished and all of it is freed. The
memory held by all running requests must never exceed the capacity. Minimise the total latency: the sum over all
requests of (last round - a[i]). Outputs are known; requests that have not arrived yet are not.

You write an admission rule. `admit_priority(requests, state)` is called whenever requests have arrived, started or
finished since the last call and more than one waits. The attributes of `requests` are float arrays with one value per
waiting request (so their length changes from call to call). It returns one score per waiting request. The request with
the LOWEST score starts first, then the next one, and so on, up to the first one whose memory would not fit in every
round to come beside what runs: that one and all behind it wait, and start in this order as soon as they fit, until
the next call. So a request that does not fit now (room < 0), put first, blocks the others and keeps memory for
itself; put last, it lets others pass."""
    hints = (
        "A request occupies memory over time, not only tokens: relate what it costs the others to what it gains.",
        "Consider when to let small requests pass a large one, and when to keep memory free for it.",
        "Consider how full the memory is: with much room the latency of the single request counts, else its area.",
        "Consider how long requests have waited, and what more arrivals will do to those passed over.",
        "Consider how well a request fits into the room that is left in its tightest round.",
    )

    def split(self, name: str) -> Sequence[Instance]:
        """Lengths and arrivals like public traces', apart from a family that is bound by memory; see `instances`."""
        return standard_split(name)

    def fresh(self, seed: int) -> Sequence[Instance]:
        """As many as the test split has, of the same families."""
        return standard_split(f"fresh-{seed}", like="test")

    def parse(self, record: Mapping[str, object], name: str) -> Instance:
        """As usual; a list `id` may name the requests, each once. It is checked, not kept."""
        if "id" in record:
            _check_ids(record["id"], record.get("output"), name)
        return super().parse({key: value for key, value in record.items() if key != "id"}, name)

    def validate(self, instance: Instance) -> None:
        """At least one request, whole numbers, lengths ≥ 1, arrivals ≥ 0, and every request fits alone."""
        super().validate(instance)
        if not len(instance["prompt"]):
            raise InstanceError(f"{instance.name}: there are no requests; give at least one")
        for field, least in (("prompt", 1), ("output", 1), ("arrival", 0), ("capacity", 1)):
            _check_numbers(instance, field, least)
        peak = instance["prompt"] + instance["output"]
        if peak.max() > int(instance["capacity"]):
            i = int(np.argmax(peak > int(instance["capacity"])))
            raise InstanceError(
                f"{instance.name}: request {i} holds {peak[i]} tokens in its last round (prompt + output), more than"
                f" the 'capacity' of {int(instance['capacity'])}: it could never run; raise 'capacity' or leave it out"
            )
        rounds = sum(instance["output"].tolist()) + int(instance["arrival"].max())
        if rounds > ROUNDS:
            raise InstanceError(
                f"{instance.name}: 'output' and 'arrival' may span {rounds} rounds, more than {ROUNDS}; scale them down"
            )

    def cpu_limit(self, instance: Instance) -> float:
        """0.4 ms a question, and three events a request that may lead to one."""
        return 0.0012 * len(instance["prompt"]) + 0.01

    def decide(self, instance: Instance, ask: Ask) -> Array:
        """The start rounds that the heuristic's scores lead to; shape (n,), int64."""
        prompt, output, arrival = (instance[name] for name in ("prompt", "output", "arrival"))
        # A prompt of s + 1 tokens that runs from iteration k on holds s + j in the j-th iteration: round k + j.
        simulation = Simulation(prompt + 1, output, arrival, capacity=int(instance["capacity"]))
        known = np.stack((prompt, output, arrival, prompt + output, areas(prompt, output))).astype(np.float64)
        capacity = np.array(float(instance["capacity"]))
        while simulation.advance():
            waiting, now = simulation.waiting, float(simulation.now)
            own, out, came, peak, area = known[:, waiting]
            state = (now, float(simulation.free_kv), capacity, float(simulation.running), float(len(waiting)))
            vectors = (own, out, came, now - came, peak, area, simulation.room.astype(np.float64))
            answer = ask(self.entry.function, [*vectors, *map(np.asarray, state)], records=self.entry.records)
            check_scores(answer, len(waiting))
            simulation.admit(answer)
        return simulation.completion - output

    def check(self, instance: Instance, decision: Array) -> None:
        """Every request starts once it has arrived, and in no round the memory held exceeds the capacity."""
        prompt, output, arrival = (instance[name] for name in ("prompt", "output", "arrival"))
        if decision.shape != prompt.shape or decision.dtype != np.int64:
            raise InvalidDecision(
                f"expected start rounds of shape {prompt.shape}, int64; got {decision.shape}, {decision.dtype}"
            )
        if (decision < arrival).any():
            i = int(np.argmax(decision < arrival))
            raise InvalidDecision(f"request {i} starts in round {decision[i]}, before it arrives in {arrival[i]}")
        if decision.max() > LARGEST:
            raise InvalidDecision(
                f"request {int(decision.argmax())} starts in round {decision.max()}, beyond {LARGEST}"
            )
        end, held = held_at_ends(prompt, output, decision)
        if held.max() > int(instance["capacity"]):
            i = int(held.argmax())
            raise InvalidDecision(
                f"in round {end[i]} {held[i]} tokens are held, more than the capacity of {int(instance['capacity'])}"
            )

    def cost(self, instance: Instance, decision: Array) -> float:
        """The total latency in rounds."""
        return float(total_latency(instance["output"], instance["arrival"], decision))

    def bound(self, instance: Instance) -> Bound:
        """The largest of the ladder: integer program, linear program, area, isolated latencies."""
        from problems.kv_admission.ladder import certify  # HiGHS and numba take their time to import

        return certify(instance)


def _check_numbers(instance: Instance, field: str, least: int) -> None:
    values = np.atleast_1d(instance[field])
    if values.dtype != np.int64:
        raise InstanceError(f"{instance.name}: '{field}' holds fractions; tokens and rounds are whole numbers")
    wrong = np.flatnonzero((values < least) | (values > LARGEST))
    if len(wrong):
        of = f" of request {wrong[0]}" if instance[field].ndim else ""
        raise InstanceError(f"{instance.name}: '{field}'{of} is {values[wrong[0]]}; it must lie in {least} … {LARGEST}")


def _check_ids(ids: object, outputs: object, name: str) -> None:
    if not isinstance(ids, list) or not all(type(one) in (int, str) for one in ids):
        raise InstanceError(f"{name}: 'id' must be a flat list of whole numbers or texts, one per request, or left out")
    if isinstance(outputs, list) and len(ids) != len(outputs):
        raise InstanceError(
            f"{name}: 'id' names {len(ids)} requests and 'output' gives {len(outputs)}; give one id each"
        )
    seen: dict[object, int] = {}
    for place, one in enumerate(ids):
        if one in seen:
            raise InstanceError(f"{name}: requests {seen[one]} and {place} have the same id {one!r}; ids must differ")
        seen[one] = place
