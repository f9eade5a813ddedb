"""Decode batches in buffers at fixed addresses, as CUDA graphs need them; and the graphs themselves on a GPU."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; `make test-engine` installs it and runs this")

from engine_bridge.torch_engine.graphs import DecodeBuffers, bucket_sizes  # noqa: E402
from engine_bridge.torch_engine.runner import Runner, RunnerSettings  # noqa: E402
from tests.engine_bridge.torch_engine.toy import DENSE, DEVICE, Sequence, Toy, make_tokens  # noqa: E402


def test_sizes() -> None:
    """Every size up to the most has one recorded at most 16 above it."""
    assert bucket_sizes(1) == [1] and bucket_sizes(3) == [1, 2, 3] and bucket_sizes(24) == [1, 2, 4, 8, 16, 24]
    sizes = bucket_sizes(256)
    assert sizes[-1] == 256 and max(np.diff(sizes)) == 16


@torch.inference_mode()
def test_padded_batch() -> None:
    """A batch in the buffers, padded, after a larger one has been there, gives the logits of the plain model."""
    toy = Toy(DENSE)
    sequences = [Sequence(make_tokens(n, 60), [n, n + 20, n + 40]) for n in range(5)]
    toy.check([(each, 14 + i) for i, each in enumerate(sequences)])
    buffers = DecodeBuffers(8, toy.runner.cache, 6, DEVICE)
    for some, size in ((sequences, 8), (sequences[3:], 4)):
        batch = toy.batch([(each, 1) for each in some])
        assert buffers.holds(batch)
        buffers.fill(batch, size)
        logits = toy.runner.model.forward(buffers.view(size), toy.runner.cache)
        assert logits.shape == (size, DENSE.vocab)
        for row, each in zip(logits.double().cpu(), some, strict=False):
            torch.testing.assert_close(row, toy.expected(each), atol=1e-4, rtol=1e-4)


def test_what_buffers_hold() -> None:
    """Only decodes, all of which want a token, that are not too many or too long."""
    toy = Toy(DENSE)
    buffers = DecodeBuffers(2, toy.runner.cache, 2, DEVICE)
    one, two, long = (Sequence(make_tokens(n, 60), [n, n + 20, n + 40], 5) for n in range(3))
    assert buffers.holds(toy.batch([(one, 1), (two, 1)]))
    assert not buffers.holds(toy.batch([(one, 1), (two, 1)], [True, False]))
    assert not buffers.holds(toy.batch([(one, 1), (two, 2)]))
    assert not buffers.holds(toy.batch([(one, 1), (two, 1), (long, 1)]))
    long.computed = 40
    assert not buffers.holds(toy.batch([(long, 1)]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
@pytest.mark.parametrize("count", [1, 3, 5])
def test_graphs_on_a_gpu(count: int) -> None:
    """Recorded decode steps sample what the plain model finds most probable, step after step."""
    toy = Toy(DENSE, "triton")
    toy.runner = Runner(toy.runner.model, toy.runner.cache, RunnerSettings(max_running=8, max_tokens=64))
    toy.runner.warm_up()
    sequences = [Sequence(make_tokens(n, 60), [n, n + 20, n + 40]) for n in range(count)]
    toy.logits([(each, 10 + i) for i, each in enumerate(sequences)])
    for _ in range(3):
        tokens = toy.runner.step(toy.batch([(each, 1) for each in sequences]))
        assert tokens.tolist() == [int(toy.expected(each).argmax()) for each in sequences]
