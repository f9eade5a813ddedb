from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.base import Instance, InvalidDecision
from problems.batch_order.schedule import check_schedule
from tests.problems.batch_order.lab import instance, instances


def legal(case: Instance, chunks: list[list[int]]) -> bool:
    """The rows of the model, iteration by iteration, in plain Python."""
    prompt, output = case["prompt"].tolist(), case["output"].tolist()
    last: dict[int, int] = {}
    for i, t, tokens in chunks:
        if tokens < 1 or t < case["arrival"][i]:
            return False
        last[i] = max(last.get(i, -1), t)
    if any(sum(x for j, _, x in chunks if j == i) != p for i, p in enumerate(prompt)):
        return False
    for t in range(max(last[i] + output[i] for i in last) + 1):
        used = sum(x for _, at, x in chunks if at == t) + sum(last[i] < t < last[i] + output[i] for i in last)
        alive = [i for i in last if t < last[i] + output[i]]
        held = sum(x for i, at, x in chunks if i in alive and at <= t) + sum(max(0, t - last[i]) for i in alive)
        if used > case["budget"] or held > case["capacity"]:
            return False
    return True


@settings(max_examples=400, deadline=None)
@given(instances(n=3, longest=3), st.randoms(use_true_random=False))
def test_exactly_the_schedules_are_accepted(case: Instance, random: Random) -> None:
    """Random chunks pass if and only if every row of the model holds."""
    chunks: list[list[int]] = []
    for i, p in enumerate(case["prompt"].tolist()):
        start = int(case["arrival"][i]) + random.randrange(-1, 6)
        left = p + random.choice((0,) * 12 + (1, -1))
        while left > 0:
            tokens = random.randint(1, left)
            chunks.append([i, start, tokens])
            left -= tokens
            start += random.randint(0, 2)
    random.shuffle(chunks)
    array = np.array(chunks, dtype=np.int64).reshape(-1, 3)
    try:
        check_schedule(case, array)
    except InvalidDecision:
        assert not legal(case, chunks)
    else:
        assert legal(case, chunks)


CASE = instance([4, 2], [3, 1], [0, 1], 4, 8, None)


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ([[0, 0, 4], [1, 1, 1]], "1 of the 2 tokens of prompt 1"),
        ([[0, 0, 4], [1, 0, 2]], "before the arrival"),
        ([[0, 0, 4], [1, 1, 2], [2, 1, 1]], "request numbers must lie in 0 … 1"),
        ([[0, 1, 4], [1, 1, 2]], "6 tokens are processed in iteration 1"),
        ([[0, 0, 4], [1, 1, 0]], "at least one token"),
        ([[0, 0, 4], [1, 1, 7]], "at most the whole prompt"),
        ([[0, 0, 4], [1, 2**41, 2]], "absurdly late"),
        ([[0, 0]], "expected rows"),
        ([[0.0, 0.0, 4.0]], "expected rows"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_said(chunks: list[list[int]], said: str) -> None:
    """The message names the request or the iteration, and the limit."""
    with pytest.raises(InvalidDecision, match=said):
        check_schedule(CASE, np.array(chunks))


def test_too_much_memory_is_said() -> None:
    """Two prompts that fit one by one, but not together while the first still decodes."""
    case = instance([4, 2], [3, 1], [0, 0], 9, 6, None)
    check_schedule(case, np.array([[0, 0, 4], [1, 3, 2]]))
    with pytest.raises(InvalidDecision, match="7 tokens of KV are held in iteration 1"):
        check_schedule(case, np.array([[0, 0, 4], [1, 1, 2]]))
