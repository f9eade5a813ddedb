"""A problem that takes no time: few, tiny instances, and a bound in closed form. Runs as `tiny.py:Tiny`."""

from pathlib import Path

import numpy as np

from problems.base import Argument, Array, Bound, Entry, Instance, Problem


class Tiny(Problem):
    """Total weighted completion time on one machine; sorting by p/w is optimal (Smith, 1956)."""

    name = "tiny"
    entry = Entry(
        "priority",
        (
            Argument("p", "processing times", sign="positive"),
            Argument("w", "weights", sign="positive"),
            Argument("t", "the current time", "scalar", "nonnegative"),
        ),
        returns="one score per remaining job, lowest goes next",
        driver="dispatch",
    )
    brief = "One machine. Minimise the sum of w[j] times the completion time of j."
    baselines = Path(__file__).parent / "tiny_baselines"
    seeds = ("spt",)

    def split(self, name: str) -> list[Instance]:
        """Four instances of six jobs."""
        return draw(name, self.splits.index(name), 4)

    def fresh(self, seed: int) -> list[Instance]:
        """Forty of them."""
        return draw(f"fresh-{seed}", seed + len(self.splits), 40)

    def cost(self, instance: Instance, decision: Array) -> float:
        """The weighted sum."""
        return float((instance["w"][decision] * np.cumsum(instance["p"][decision])).sum())

    def bound(self, instance: Instance) -> Bound:
        """The cost of Smith's order."""
        order = np.argsort(instance["p"] / instance["w"], kind="stable")
        return Bound(self.cost(instance, order), "optimal", "Smith's rule", seconds=0.0)


def draw(name: str, seed: int, count: int) -> list[Instance]:
    """Instances of six jobs."""
    rng = np.random.default_rng(seed)
    draws = [(rng.integers(1, 21, 6), rng.integers(1, 11, 6)) for _ in range(count)]
    return [Instance(f"{name}-{i}", {"p": p, "w": w}) for i, (p, w) in enumerate(draws)]
