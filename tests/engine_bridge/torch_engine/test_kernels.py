"""The Triton kernels against plain torch: on a GPU if there is one, else by Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; `make test-engine` installs it and runs this")
pytest.importorskip("triton", reason="triton is not installed; it comes with torch for CUDA")

from engine_bridge.torch_engine.attention import choose_backend  # noqa: E402
from engine_bridge.torch_engine.attention.triton_paged import MOST_SPLITS, splits_of  # noqa: E402
from engine_bridge.torch_engine.batch import DeviceBatch, make_batch, to_device  # noqa: E402
from engine_bridge.torch_engine.ops import PlainOps, rope_table  # noqa: E402
from engine_bridge.torch_engine.weights import random_weights  # noqa: E402
from tests.engine_bridge.torch_engine.toy import DENSE, DEVICE, EXPERTS  # noqa: E402

TYPES = [torch.float32, torch.float16] + [torch.bfloat16] * torch.cuda.is_available()
TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


def draw(*size: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Normal numbers, the same in each run."""
    return torch.randn(size, generator=torch.Generator().manual_seed(sum(size))).to(DEVICE, dtype)


def make(counts: list[int], computed: list[int], block_size: int = 16) -> DeviceBatch:
    """A batch on pages in disorder."""
    width = 8
    tables = np.random.default_rng(0).permutation(len(counts) * width).reshape(len(counts), width)
    return to_device(
        make_batch(
            token_ids=np.zeros(sum(counts)),
            counts=np.array(counts),
            computed=np.array(computed),
            block_tables=tables,
            block_size=block_size,
        ),
        DEVICE,
    )


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(("heads", "kv_heads", "head_dim"), [(6, 2, 16), (4, 4, 24), (1, 1, 40)])
def test_attention(dtype: torch.dtype, heads: int, kv_heads: int, head_dim: int) -> None:
    """Decodes over KV of 1 to 100 tokens beside chunks of prompts: the same as by scaled_dot_product_attention."""
    batch = make([1, 1, 1, 34, 3], [0, 15, 99, 20, 0])
    queries = draw(batch.tokens, heads + 2 * kv_heads, head_dim, dtype=dtype)[:, :heads]  # with a stride, as in a layer
    keys, values = draw(40, 16, kv_heads, head_dim, dtype=dtype), draw(41, 16, kv_heads, head_dim, dtype=dtype)[1:]
    expected = choose_backend(DEVICE, "sdpa").attend(queries, keys, values, batch)
    found = choose_backend(DEVICE, "triton").attend(queries, keys, values, batch)
    torch.testing.assert_close(found, expected, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("splits", [1, 2, 8])
def test_split_kv(monkeypatch: pytest.MonkeyPatch, splits: int) -> None:
    """However many programs the KV of a sequence is split among, some of which get none, attention is the same."""
    monkeypatch.setattr("engine_bridge.torch_engine.attention.triton_paged.splits_of", lambda *_: splits)
    batch = make([1, 1], [120, 3])
    queries, keys, values = draw(2, 4, 16), draw(16, 16, 2, 16), draw(17, 16, 2, 16)[1:]
    expected = choose_backend(DEVICE, "sdpa").attend(queries, keys, values, batch)
    torch.testing.assert_close(choose_backend(DEVICE, "triton").attend(queries, keys, values, batch), expected)


def test_number_of_splits() -> None:
    """Few sequences are split much, many not at all, always by a power of 2."""
    assert [splits_of(n, 8) for n in (1, 8, 16, 24, 64, 256, 1000)] == [MOST_SPLITS, 32, 16, 8, 4, 1, 1]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_rows(dtype: torch.dtype) -> None:
    """Norm, norm of a sum, and SiLU times up: the same as plain torch but for the rounding of the last bit."""
    from engine_bridge.torch_engine.fused import FusedOps

    plain, fused = PlainOps(), FusedOps()
    x, residual, weight = draw(3, 40, dtype=dtype), draw(5, 40, dtype=dtype)[:3], draw(40, dtype=dtype)
    close = {"atol": TOLERANCE[dtype], "rtol": TOLERANCE[dtype]}
    torch.testing.assert_close(fused.norm(x, weight, 1e-5), plain.norm(x, weight, 1e-5), **close)
    expected, total = plain.add_norm(x, residual, weight, 1e-5)
    found, kept = fused.add_norm(x, residual, weight, 1e-5)
    torch.testing.assert_close(found, expected, **close)
    torch.testing.assert_close(kept, total, **close)
    wide = draw(3, 2 * 1100, dtype=dtype)
    torch.testing.assert_close(fused.silu_mul(wide), plain.silu_mul(wide), **close)
    assert fused.norm(x[:0], weight, 1e-5).shape == (0, 40)


@pytest.mark.parametrize("shape", [DENSE, EXPERTS, replace(DENSE, heads=12, kv_heads=12)], ids=lambda shape: shape.name)
def test_rotate_and_store(shape) -> None:  # type: ignore[no-untyped-def]
    """Queries and the cache are the same as by plain torch, with norms and without, for any number of heads."""
    from engine_bridge.torch_engine.fused import FusedOps

    batch = make([1, 1, 5], [7, 100, 30])
    weights = random_weights(shape, seed=0, dtype=torch.float32, device=DEVICE)
    layer, rope = weights.layers[0], rope_table(shape, DEVICE)
    if layer.query_norm is not None and layer.key_norm is not None:
        layer.query_norm.copy_(draw(shape.head_dim))
        layer.key_norm.copy_(draw(shape.head_dim).flip(0))
    qkv = draw(batch.tokens, shape.query_size + 2 * shape.kv_size)
    size = (24, 16, shape.kv_heads, shape.head_dim)
    expected_cache, found_cache = torch.zeros(2, *size, device=DEVICE), torch.zeros(2, *size, device=DEVICE)
    expected = PlainOps().rotate_and_store(qkv, shape, layer, rope, batch, *expected_cache)
    found = FusedOps().rotate_and_store(qkv.clone(), shape, layer, rope, batch, *found_cache)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found_cache, expected_cache, atol=1e-5, rtol=1e-5)


def test_kernels_compile() -> None:
    """Every kernel compiles for a Hopper GPU: the interpreter takes code that the compiler refuses."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "tests.engine_bridge.torch_engine.compile_kernels"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == 22
