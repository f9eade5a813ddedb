"""The paged forward pass: logits equal those of a plain model, whatever the mix of a step and wherever the KV lies."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; `make test-engine` installs it and runs this")

from engine_bridge.torch_engine.batch import make_batch  # noqa: E402
from engine_bridge.torch_engine.errors import EngineError  # noqa: E402
from tests.engine_bridge.torch_engine.toy import DENSE, SHAPES, Sequence, Toy, make_tokens  # noqa: E402

BACKENDS = [
    "sdpa",
    pytest.param("triton", marks=pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")),
]


@pytest.fixture(params=BACKENDS)
def attention(request: pytest.FixtureRequest) -> str:
    """Each back-end in turn."""
    return str(request.param)


@pytest.fixture(params=[("dense", "sdpa"), ("experts", "sdpa"), ("dense", "triton")], ids="-".join)
def toy(request: pytest.FixtureRequest) -> Toy:
    """Each shape, and each back-end; Triton's interpreter is slow."""
    shape, attention = request.param
    if attention == "triton" and find_spec("triton") is None:
        pytest.skip("triton is not installed")
    return Toy(SHAPES[shape], attention)


def test_whole_prompts_then_decodes(toy: Toy) -> None:
    """Prompts of uneven lengths in one batch, then decodes of all together, give the plain model's logits."""
    sequences = [Sequence(make_tokens(n, n + 2), list(range(4 * n % 57, 4 * n % 57 + 4))) for n in (1, 7, 16, 37)]
    sequences = [replace(each, blocks=[4 * i + j for j in (2, 0, 3, 1)]) for i, each in enumerate(sequences)]
    toy.check([(each, len(each.tokens) - 2) for each in sequences])
    toy.check([(each, 1) for each in sequences])
    toy.check([(each, 1) for each in sequences])


def test_decodes_and_chunks_in_one_step(toy: Toy) -> None:
    """Decodes beside first, middle and last chunks of prompts, the last one token long, give the plain logits."""
    decoding = [Sequence(make_tokens(n, 40), [n, n + 20, n + 40]) for n in range(3)]
    toy.check([(each, 20 + i) for i, each in enumerate(decoding)])
    long = Sequence(make_tokens(9, 80), [10, 3 + 10, 16, 30, 11])
    toy.check([(each, 1) for each in decoding] + [(long, 33)])
    toy.check([(each, 1) for each in decoding] + [(long, 46)])
    fresh = Sequence(make_tokens(10, 5), [50])
    toy.check([(each, 1) for each in decoding] + [(fresh, 5), (long, 1)])


def test_shared_pages(toy: Toy) -> None:
    """A sequence that starts on another's pages, in a later step or the same, sees what its own tokens would give."""
    prefix = make_tokens(1, 32)
    first = Sequence(prefix + make_tokens(2, 9), [5, 6, 7])
    same_step = Sequence(prefix + make_tokens(3, 4), [5, 6, 8], computed=32)
    later = Sequence(prefix + make_tokens(4, 20), [5, 6, 9, 10], computed=32)
    toy.check([(first, 41), (same_step, 4)])
    toy.check([(later, 20)])


def test_preempted_and_computed_again(toy: Toy) -> None:
    """A sequence that lost its pages to another and is computed again elsewhere goes on as if nothing happened."""
    victim, other = Sequence(make_tokens(1, 40), [1, 2, 3]), Sequence(make_tokens(2, 40), [2, 1, 4])
    toy.check([(victim, 30)])
    toy.check([(victim, 1)])
    toy.check([(other, 40)])
    victim.computed, victim.blocks = 0, [7, 3, 2]
    toy.check([(victim, 31)])
    toy.check([(victim, 1)])


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_layered_prefill(toy: Toy, groups: int) -> None:
    """A cohort in groups of layers beside decodes: the tokens are those of whole steps."""
    decoding = [Sequence(make_tokens(n, 60), [n, n + 20, n + 40]) for n in range(2)]
    cohort = [Sequence(make_tokens(8, 60), [10, 11, 12, 13]), Sequence(make_tokens(9, 60), [14, 15, 16, 17])]
    toy.logits([(each, 10) for each in decoding])
    started = toy.runner.start_layered(toy.batch([(cohort[0], 35), (cohort[1], 20)], [True, False]), groups)
    tokens = None
    for step in range(groups):
        assert tokens is None
        some = decoding if step != 1 else []
        found, tokens = toy.runner.step_layered(toy.batch([(each, 1) for each in some]) if some else None, started)
        assert found.tolist() == [int(toy.expected(each).argmax()) for each in some]
    assert started.done
    assert tokens is not None and tokens.tolist() == [int(toy.expected(cohort[0]).argmax()), -1]
    toy.check([(each, 1) for each in (*decoding, *cohort)])
    with pytest.raises(EngineError, match="all layers"):
        toy.runner.step_layered(None, started)


def test_cohort_gives_way(attention: str) -> None:
    """Blocks of a preempted member that a decode takes over are the decode's; the member's other blocks stay of use."""
    toy = Toy(DENSE, attention)
    decoding = Sequence(make_tokens(1, 40), [0, 22])
    victim = Sequence(make_tokens(2, 40), [20, 21, 22])
    toy.logits([(decoding, 16)])
    started = toy.runner.start_layered(toy.batch([(victim, 40)]), 3)
    toy.runner.step_layered(None, started)
    toy.runner.step_layered(toy.batch([(decoding, 1)]), started)
    toy.runner.step_layered(toy.batch([(decoding, 1)]), started)
    toy.check([(decoding, 1)])
    again = Sequence(victim.tokens, [20, 21, 30], computed=32)
    toy.check([(again, 8)])


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_half_precision(attention: str, name: str) -> None:
    """In 16 bits the logits differ from the plain model's, in float64, by no more than such numbers must."""
    if attention == "triton" and name == "bfloat16" and not torch.cuda.is_available():
        pytest.skip("Triton's interpreter multiplies bfloat16 as if they were integers")
    toy = Toy(DENSE, attention, getattr(torch, name))
    sequence = Sequence(make_tokens(5, 50), [9, 4, 7, 2])
    toy.check([(sequence, 33)], tolerance=0.1)
    toy.check([(sequence, 1)], tolerance=0.1)


def test_sampling() -> None:
    """A temperature makes the seed matter and nothing else; next to 0 it gives the most probable token."""
    from engine_bridge.torch_engine.runner import sample

    logits = torch.tensor([[0.0, 1.0, 2.0]]).expand(4000, 3)
    one, same, other = (sample(logits, 1.0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    shares = torch.bincount(one, minlength=3) / 4000
    torch.testing.assert_close(shares, logits[0].softmax(-1), atol=0.03, rtol=0)
    assert (sample(logits, 0.0, torch.Generator()) == 2).all() and (sample(logits, 1e-3, torch.Generator()) == 2).all()


def test_wanted(attention: str) -> None:
    """Only sequences that want a token get one; the others −1."""
    toy = Toy(DENSE, attention)
    first, second = Sequence(make_tokens(1, 20), [1, 2]), Sequence(make_tokens(2, 20), [3, 4])
    tokens = toy.runner.step(toy.batch([(first, 12), (second, 20)], [False, True]))
    assert tokens.tolist() == [-1, int(toy.expected(second).argmax())]
    assert toy.runner.step(toy.batch([(first, 3)], [False])).tolist() == [-1]


def test_batch_of_the_scheduler() -> None:
    """Packing: positions go on where the sequence stood, slots follow its pages, decodes are told apart."""
    batch = make_batch(
        token_ids=np.array([7, 8, 9, 10]),
        counts=np.array([1, 3]),
        computed=np.array([4, 2]),
        block_tables=np.array([[5, 6, 0], [9, 3, 0]]),
        block_size=4,
    )
    assert batch.positions.tolist() == [4, 2, 3, 4]
    assert batch.slots.tolist() == [24, 38, 39, 12]
    assert (batch.query_starts.tolist(), batch.context_lens.tolist()) == ([0, 1, 4], [5, 5])
    assert (batch.decodes, batch.block_tables.shape) == (1, (2, 2))
