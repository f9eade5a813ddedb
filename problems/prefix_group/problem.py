"""The problem `prefix_group`: batches over a prefix trie under a KV cap."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from problems.base import Array, Ask, Bound, Instance, InstanceError, InvalidDecision, Problem, check_scores
from problems.prefix_group.building import build
from problems.prefix_group.cost import loaded_tokens, total_cost
from problems.prefix_group.entry import ENTRY
from problems.prefix_group.instances import generate
from problems.prefix_group.rules import check_ids, check_instance
from problems.prefix_group.trie import trie_of

HERE = Path(__file__).parent
SEARCHED = ("fewshot", "tree")
"""Families of the standard splits: those in which the best rules are known to lose something."""
SIZES: dict[str, dict[int, int]] = {
    "probe": {20: 2, 40: 2},
    "train": {12: 1, 20: 2, 30: 2, 80: 3},
    "validation": {20: 4, 30: 4, 100: 5, 200: 3},
    "test": {20: 8, 30: 8, 100: 10, 200: 6, 300: 4},
    "sessions": {30: 6, 100: 6, 300: 4},
}
"""Instances of each family by number of requests."""


class PrefixGroup(Problem):
    """Requests that share prefixes are put into batches; each batch loads every node it needs once."""

    name = "prefix_group"
    entry = ENTRY
    baselines = HERE / "baselines"
    best_baseline = "branch_fit"
    seeds = ("depth_first", "longest_prefix", "fair_share", "branch_fit")
    splits = (*Problem.splits, "sessions")
    bounds = HERE / "bounds"
    instance_fields = ("parent", "tokens", "leaf", "kv")
    instance_scalars = ("M", "F")
    hints = (
        "Consider whether all requests that share a prefix still fit into the open batch, or have to be split.",
        "Consider what it costs later to leave out the last request that needs what is already loaded.",
        "Consider which branch of the trie to begin an empty batch with.",
        "Consider filling what is left of a batch with requests that share nothing with others.",
        "Consider closing a batch early, where the rest would have to be loaded twice.",
        "Consider a smooth trade-off where known rules switch abruptly.",
    )
    brief = """\
Requests to a language model share prefixes of their prompts: the prompts form a trie, and each node of the trie
holds some tokens. The requests are put into batches. A batch loads (prefills) every node on the prompts of its
requests once, whatever number of them need it, and needs KV memory for all loaded tokens and for each request's own
decoding; it must not need more than a cap M. Nothing is kept from batch to batch. Minimise the total of the tokens
loaded by all batches, plus a fixed cost F (in tokens) for each batch.

You write `join_score(request, batch, trie)`. Batches are built one after the other. Again and again the function is
called with the waiting requests that fit into the open batch, and the one with the LOWEST score joins it. The fields
of `request` are float arrays of equal length, one value per request shown; the fields of `batch` and `trie` are
numbers. It returns one score per request shown as an array of the same length. If all scores
are `np.inf`, the batch is closed early and the next one opened; an empty batch cannot be closed."""

    def split(self, name: str) -> Sequence[Instance]:
        """Small instances that HiGHS can prove optimal, and larger ones; `sessions`: like a public trace."""
        families = ("sessions",) if name == "sessions" else SEARCHED
        return [
            generate(name, family, n, index)
            for family in families
            for n, count in SIZES[name].items()
            for index in range(count)
        ]

    def fresh(self, seed: int) -> Sequence[Instance]:
        """As many as the test split has, of the same families."""
        return [
            generate(f"fresh-{seed}", family, n, index)
            for family in SEARCHED
            for n, count in SIZES["test"].items()
            for index in range(count)
        ]

    def parse(self, record: Mapping[str, object], name: str) -> Instance:
        """Make an instance from a JSON record of lists and numbers; `ids` of the requests are checked, not kept."""
        ids = check_ids(record.get("ids"), record.get("leaf"), name)
        given = {key: value for key, value in record.items() if key != "ids"}
        try:
            return super().parse(given, name)
        except InstanceError as error:
            raise InstanceError(_with_id(str(error), ids)) from None

    def validate(self, instance: Instance) -> None:
        """The rules of `check_instance`."""
        check_instance(instance)

    def cpu_limit(self, instance: Instance) -> float:
        """0.5 ms a request, each of which is at most one question."""
        return 0.0005 * len(instance["leaf"]) + 0.02

    def decide(self, instance: Instance, ask: Ask) -> Array:
        """Build the batches by asking; the number of each request's batch, (n,) int64."""

        function, records = self.entry.function, self.entry.records

        def score(requests: Array, batch: tuple[float, ...], totals: Array) -> Array:
            scalars = np.array((*batch, *totals), dtype=np.float64)
            answer = ask(function, [*requests, *(scalars[i, ...] for i in range(len(scalars)))], records=records)
            check_scores(answer, requests.shape[1])
            return answer

        return build(trie_of(instance), score)

    def check(self, instance: Instance, decision: Array) -> None:
        """Every request in one of the batches 0 … B−1, none of which is empty or exceeds the KV cap."""
        n = len(instance["leaf"])
        if decision.shape != (n,) or decision.dtype != np.int64:
            raise InvalidDecision(
                f"expected one whole batch number for each of {n} requests, got {decision.dtype} of {decision.shape}"
            )
        if decision.min() < 0 or decision.max() >= n:
            raise InvalidDecision(f"batch numbers must lie in 0 … {n - 1}, got {decision.min()} … {decision.max()}")
        sizes = np.bincount(decision)
        if not sizes.all():
            raise InvalidDecision(f"batch {int(sizes.argmin())} is empty; number the batches without gaps")
        held = loaded_tokens(instance, decision) + np.bincount(decision, instance["kv"]).astype(np.int64)
        if held.max() > instance["M"]:
            batch = int(held.argmax())
            raise InvalidDecision(f"batch {batch} needs {held[batch]} tokens of KV; the cap is {instance['M']}")

    def cost(self, instance: Instance, decision: Array) -> float:
        """Tokens loaded by all batches, plus F for each."""
        return float(total_cost(instance, decision))

    def bound(self, instance: Instance) -> Bound:
        """The largest of the ladder's bounds, and the best partition known."""
        from problems.prefix_group.ladder import certify  # PuLP and HiGHS take a while to import

        return certify(instance)


def _with_id(text: str, ids: list[object] | None) -> str:
    """The message with the user's own name beside the number of each request."""
    if ids is None:
        return text
    return re.sub(r"\brequest (\d+)", lambda found: f"request {found[1]} (id {ids[int(found[1])]!r})", text)
