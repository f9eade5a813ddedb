"""What the tests of batch ordering share: small random instances, and an optimum found by trying everything."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
from hypothesis import strategies as st

from problems.base import Instance
from problems.batch_order.problem import BatchOrder, BatchOrderLate, BatchOrderMakespan

PROBLEMS = (BatchOrder(), BatchOrderMakespan(), BatchOrderLate())


def instance(
    prompt: list[int], output: list[int], arrival: list[int], budget: int, capacity: int, deadline: list[int] | None
) -> Instance:
    """An instance from plain numbers; with deadlines unless they are None."""
    lists = {"prompt": prompt, "output": output, "arrival": arrival} | ({"deadline": deadline} if deadline else {})
    arrays = {name: np.array(values, dtype=np.int64) for name, values in lists.items()}
    return Instance("small", arrays | {"budget": np.array(budget), "capacity": np.array(capacity)})


@st.composite
def instances(draw: st.DrawFn, n: int = 3, longest: int = 4) -> Instance:
    """Up to `n` requests of up to `longest` tokens each way, with deadlines."""
    count = draw(st.integers(1, n))
    prompt, output = (draw(st.lists(st.integers(1, longest), min_size=count, max_size=count)) for _ in range(2))
    arrival = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    deadline = [a + o + draw(st.integers(-1, 4)) for a, o in zip(arrival, output, strict=True)]
    peak = max(p + o - 1 for p, o in zip(prompt, output, strict=True))
    return instance(prompt, output, arrival, draw(st.integers(1, 5)), peak + draw(st.integers(0, 6)), deadline)


def optimum(case: Instance, objective: str) -> int:
    """The least cost of any schedule, by trying every split of every iteration's tokens; for about three requests."""
    prompt, output, arrival = (case[name].tolist() for name in ("prompt", "output", "arrival"))
    budget, capacity = int(case["budget"]), int(case["capacity"])
    deadline = case["deadline"].tolist()
    whole = [p + o - 1 for p, o in zip(prompt, output, strict=True)]
    end = max(arrival) + sum(whole) + len(whole)

    def price(i: int, completion: int) -> int:
        if objective == "late":
            return int(completion > deadline[i])
        return completion

    @cache
    def best(t: int, progress: tuple[int, ...]) -> float:
        """Least cost from iteration t on, given the tokens each request has behind it."""
        open_ = [i for i, done in enumerate(progress) if done < whole[i]]
        if not open_:
            return 0
        if t > end:
            return float("inf")
        decoding = [i for i in open_ if progress[i] >= prompt[i]]
        choices = [
            range(prompt[i] - progress[i] + 1) if i in open_ and i not in decoding and arrival[i] <= t else (0,)
            for i in range(len(progress))
        ]
        least = float("inf")
        for tokens in itertools.product(*choices):
            if sum(tokens) + len(decoding) > budget:
                continue
            after = tuple(done + tokens[i] + (i in decoding) for i, done in enumerate(progress))
            if sum(after[i] for i in open_) > capacity:
                continue
            now = [price(i, t + 1) for i in open_ if after[i] == whole[i]]
            later = best(t + 1, after)
            least = min(least, max([later, *now]) if objective == "makespan" else later + sum(now))
        return least

    return int(best(0, (0,) * len(prompt)))
