"""Models from folders: tensors arrive where they belong, and what is wrong with a folder is said in one sentence."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; `make test-engine` installs it and runs this")

from engine_bridge.torch_engine.errors import EngineError  # noqa: E402
from engine_bridge.torch_engine.opening import find_device, find_dtype, open_runner  # noqa: E402
from engine_bridge.torch_engine.safetensors import TensorFolder  # noqa: E402
from engine_bridge.torch_engine.shape import PRESETS, ModelShape, find_shape, read_shape  # noqa: E402
from engine_bridge.torch_engine.weights import (  # noqa: E402
    empty_weights,
    load_weights,
    named_tensors,
    random_weights,
)
from tests.engine_bridge.torch_engine.toy import Sequence, Toy, make_tokens  # noqa: E402

CPU = torch.device("cpu")
CONFIG: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 48, "vocab_size": 97, "rms_norm_eps": 1e-5, "rope_theta": 5000.0,
    "max_position_embeddings": 256,
}  # fmt: skip


def write_folder(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
    """A model folder, the tensors in two files."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    names = sorted(tensors)
    for number in range(2):
        header, data = {}, b""
        for name in names[number::2]:
            content = tensors[name].float().contiguous().numpy().tobytes()
            place = [len(data), len(data) + len(content)]
            header[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": place}
            data += content
        text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
        (folder / f"model-{number}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small random model."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG))
    weights = random_weights(read_shape(path), seed=1, dtype=torch.float32, device=CPU)
    write_folder(path, CONFIG, dict(named_tensors(weights)))
    return path


def test_round_trip(folder: Path) -> None:
    """What is read is what was written, every tensor, also in another number type."""
    shape = read_shape(folder)
    weights = random_weights(shape, seed=1, dtype=torch.float32, device=CPU)
    found = dict(named_tensors(load_weights(folder, shape, dtype=torch.float32, device=CPU)))
    for name, tensor in named_tensors(weights):
        assert torch.equal(found[name], tensor), name
    half = load_weights(folder, shape, dtype=torch.bfloat16, device=CPU)
    assert torch.equal(half.embedding, weights.embedding.bfloat16())


def test_folder_runs(folder: Path) -> None:
    """A runner opened from a folder samples what the plain model finds most probable."""
    runner = open_runner(str(folder), blocks=64)
    toy = Toy(read_shape(folder))
    toy.weights = runner.model.weights
    sequence = Sequence(make_tokens(1, 30), [3, 1])
    assert runner.step(toy.batch([(sequence, 30)])).tolist() == [int(toy.expected(sequence).argmax())]


@pytest.mark.parametrize("name", PRESETS)
def test_parameter_count(name: str) -> None:
    """The count is that of the tensors there are, and of the published models."""
    shape = replace(PRESETS[name], name=name)
    weights = empty_weights(shape, torch.bfloat16, torch.device("meta"))
    assert shape.parameter_count == sum(tensor.numel() for _, tensor in named_tensors(weights))
    published = {"llama3-8b": 8_030_261_248, "qwen3-30b-a3b": 30_532_122_624}
    assert shape.parameter_count == published.get(name, shape.parameter_count)


def test_random_weights() -> None:
    """The seed alone decides; tied embeddings are one tensor."""
    shape = replace(PRESETS["tiny-moe"], tied=True)
    one, same, other = (random_weights(shape, seed=seed, dtype=torch.float32, device=CPU) for seed in (1, 1, 2))
    assert torch.equal(one.layers[2].down, same.layers[2].down)
    assert not torch.equal(one.layers[2].down, other.layers[2].down)
    assert one.head is one.embedding


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, "model_type 'gpt2' is unknown here; the engine runs llama, qwen2"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "rope_scaling 'yarn' is not built in"),
        ({"attention_bias": True}, "attention_bias True is not built in"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu' is not built in"),
        ({"num_key_value_heads": 3}, "4 heads do not divide among 3 KV heads"),
        ({"head_dim": 7}, "head_dim is 7; rotary positions need an even number"),
        ({"vocab_size": "many"}, "cannot be used"),
        ({"vocab_size": None}, "cannot be used"),
        ({"vocab_size": 0}, "vocab is 0; give at least 1"),
        ({"intermediate_size": 50}, r"tensor model.layers.0.mlp.gate_proj.weight is \(48, 32\), config.json says \(50"),
        ({"num_hidden_layers": 3}, "has no tensor model.layers.2.input_layernorm.weight"),
    ],
)
def test_wrong_config(folder: Path, change: dict[str, Any], message: str) -> None:
    """A config the engine cannot honour, or that does not fit the tensors, is refused."""
    (folder / "config.json").write_text(json.dumps({**CONFIG, **change}))
    with pytest.raises(EngineError, match=message):
        open_runner(str(folder), blocks=4)


def test_wrong_files(folder: Path, tmp_path: Path) -> None:
    """Missing, damaged and shortened files are named."""
    with pytest.raises(EngineError, match=r"no model 'nowhere'; give a folder with config\.json or one of tiny"):
        find_shape("nowhere")
    with pytest.raises(EngineError, match=r"cannot read .*config.json"):
        find_shape(str(tmp_path))
    with pytest.raises(EngineError, match=r"no \*.safetensors in"):
        TensorFolder(tmp_path)
    shape = read_shape(folder)
    file = folder / "model-0.safetensors"
    content = file.read_bytes()
    for damaged, message in (
        (content[:-100], "ends inside tensor"),
        (content.replace(b'"F32"', b'"I32"', 1), "is described as"),
        (b"x" * 100, "is no safetensors file"),
        (b"", "is no safetensors file"),
    ):
        file.write_bytes(damaged)
        with pytest.raises(EngineError, match=message):
            load_weights(folder, shape, dtype=torch.float32, device=CPU)
    (folder / "config.json").write_text("{")
    with pytest.raises(EngineError, match=r"config.json is no JSON"):
        read_shape(folder)


def test_missing_devices() -> None:
    """A GPU that is not there, an unknown device, number type or back-end is refused."""
    with pytest.raises(EngineError, match="device 'cuda:99' is not there"):
        find_device("cuda:99")
    for name in ("tpu", "gpu"):
        with pytest.raises(EngineError, match=f"device '{name}' is unknown"):
            find_device(name)
    with pytest.raises(EngineError, match="number type 'int4' is unknown"):
        find_dtype("int4")
    with pytest.raises(EngineError, match="no attention back-end 'flash'; choose one of sdpa"):
        open_runner("tiny", blocks=4, attention="flash")
    if not torch.cuda.is_available():
        with pytest.raises(EngineError, match="'varlen' needs a GPU"):
            open_runner("tiny", blocks=4, attention="varlen")


def test_too_long() -> None:
    """A sequence longer than the model's positions is refused before it is computed."""
    shape = ModelShape(
        name="short", layers=1, hidden=16, heads=2, kv_heads=1, head_dim=8, intermediate=16, vocab=97, max_position=20
    )
    toy = Toy(shape)
    with pytest.raises(EngineError, match="a request of 21 tokens is longer than the 20 positions of model short"):
        toy.runner.step(toy.batch([(Sequence(make_tokens(1, 21), [0, 1]), 21)]))
