import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from engine_bridge.sources import FOLDER, available, load_workload
from engine_bridge.synthetic import GENERATORS, synthetic
from engine_bridge.traces import read_azure, read_jsonl, read_mooncake, read_trace, write_jsonl
from engine_bridge.workload import Workload, WorkloadError
from tests.engine_bridge.test_requests import same, workloads

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109

2024-05-10 00:00:00.009930+00:00,10,1
"""
MOONCAKE = [
    {"timestamp": 3000, "input_length": 700, "output_length": 5, "hash_ids": [0, 1]},
    {"timestamp": 3000, "input_length": 100, "output_length": 6, "hash_ids": [0]},
    {"timestamp": 9000, "input_length": 1500, "output_length": 7, "hash_ids": [0, 1, 2]},
]


def lines(*records: object) -> str:
    """JSON lines."""
    return "".join(json.dumps(each) + "\n" for each in records)


def test_azure_traces_are_read(tmp_path: Path) -> None:
    """Both years' time formats, to a ten-millionth of a second, from the first arrival on; blank lines are nothing."""
    path = tmp_path / "azure.csv"
    path.write_text(AZURE)
    workload = read_trace(path)
    assert workload.prompt.tolist() == [374, 396, 10] and workload.output.tolist() == [44, 109, 1]
    assert workload.arrival[:2].tolist() == pytest.approx([0, 4.314579], abs=1e-9)
    assert workload.name == "azure" and not len(workload.block_ids)


def test_mooncake_traces_are_read(tmp_path: Path) -> None:
    """Milliseconds become seconds, block ids prefixes, the second block the group."""
    path = tmp_path / "mooncake.jsonl"
    path.write_text(lines(*MOONCAKE))
    workload = read_trace(path)
    assert workload.arrival.tolist() == [0, 0, 6] and workload.prompt.tolist() == [700, 100, 1500]
    assert workload.group.tolist() == [0, -1, 0] and workload.blocks(2).tolist() == [0, 1, 2]
    assert workload.known_blocks().tolist() == [0, 1, 2]


@settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(workloads())
def test_our_own_format_loses_nothing(tmp_path: Path, workload: Workload) -> None:
    """Whatever the workload."""
    path = tmp_path / "own.jsonl"
    write_jsonl(workload, path)
    assert same(read_trace(path), workload)


def test_our_own_format_needs_three_numbers_a_request(tmp_path: Path) -> None:
    """No header, no predictions: these are drawn with the default error."""
    path = tmp_path / "short.jsonl"
    path.write_text(
        lines({"arrival": 1.5, "prompt": 3, "output": 400, "ttft": 2}, {"arrival": 1, "prompt": 4, "output": 9})
    )
    workload = read_trace(path)
    assert workload.name == "short" and workload.arrival.tolist() == [1, 1.5] and workload.ttft.tolist() == [np.inf, 2]
    assert workload.predictions == "predictions with log-normal error, sigma 0.5"


HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
GOOD = {"arrival": 1, "prompt": 3, "output": 4}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            HEADER + "2023-11-16 18:15:46,374,44\n2023-11-16 18:15:46,374,0\n",
            "line 3: GeneratedTokens is '0'; give a whole",
        ),
        (HEADER + "2023-11-16 18:15:46,3e2,44\n", "line 2: ContextTokens is '3e2'; give a whole number from 1"),
        (HEADER + "yesterday,374,44\n", "line 2: TIMESTAMP is 'yesterday'; give a time such as"),
        (HEADER + "2023-11-16 18:15:46,374\n", "line 2: the line is '2023-11-16 18:15:46,374'; give 3 cells"),
        (HEADER, "has no requests"),
        ("TIMESTAMP,In,Out\n", "line 1: the header is 'TIMESTAMP,In,Out'; give TIMESTAMP,ContextTokens"),
        (lines(MOONCAKE[0], {"timestamp": 1}), "line 2: the line is .*; add input_length, output_length, hash_ids"),
        (lines(MOONCAKE[0], MOONCAKE[0] | {"input_length": 0}), "line 2: input_length is 0"),
        (lines(MOONCAKE[0], MOONCAKE[0] | {"hash_ids": [0, -1]}), r"line 2: hash_ids is \[0, -1\]; give a list"),
        (lines(MOONCAKE[0], MOONCAKE[0] | {"timestamp": "x"}), "line 2: timestamp is 'x'; give a finite number"),
        (lines(MOONCAKE[0] | {"hash_ids": [0, 1, 2]}), "prefix_blocks is 3; give one for every 512 prompt tokens"),
        (lines(GOOD) + "{oops\n", "line 2: the line is '{oops'; give one JSON object a line"),
        (lines(GOOD, {"arrival": 1, "prompt": 2}), "line 2: the line is .*; add output"),
        (lines(GOOD | {"prompt": 1.5}), "line 1: prompt is 1.5; give a whole number"),
        (lines(GOOD | {"promt": 1}), "line 1: the key is 'promt'; take it out"),
        (lines(GOOD, GOOD | {"predicted": 3}), "request 0 has no predicted; give it to all or to none"),
        (lines(GOOD | {"arrival": True}), "line 1: arrival is True"),
        (lines({"workload": "w", "hash": 3}, GOOD), "line 1: the first line is .*; take out hash"),
        ("", "has no requests"),
    ],
)
def test_malformed_lines_are_refused(tmp_path: Path, content: str, message: str) -> None:
    """With the file, the line's number, the value and the remedy."""
    path = tmp_path / "bad"
    path.write_text(content)
    with pytest.raises(WorkloadError, match=message) as caught:
        read_trace(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_and_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence lists what there is."""
    with pytest.raises(WorkloadError, match="cannot read the trace"):
        read_azure(tmp_path / "nosuch.csv")
    monkeypatch.delenv(FOLDER, raising=False)
    with pytest.raises(WorkloadError, match=r"no workload chat: .* conversation, code, mooncake, .*\(unset\)"):
        load_workload("chat")
    with pytest.raises(WorkloadError, match="0 requests of code: give at least 1"):
        load_workload("code", requests=0)


def test_workloads_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generators, paths, and files of the environment's folder, by stem or whole name; the first ones if so asked."""
    (tmp_path / "mine.jsonl").write_text(lines(*MOONCAKE))
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert available() == [*GENERATORS, "mine"]
    by_name = [load_workload(name) for name in ("mine", "mine.jsonl", tmp_path / "mine.jsonl")]
    assert all(same(each, read_mooncake(tmp_path / "mine.jsonl")) for each in by_name)
    assert len(load_workload("mine", requests=2)) == 2 and len(load_workload("code")) == 1000


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_need_nothing_but_a_seed(name: str) -> None:
    """The same seed gives the same requests, another one others; they pass through our own format."""
    one, again, other = (synthetic(name, 300, seed) for seed in (1, 1, 2))
    assert same(one, again) and not same(one, other)
    assert len(one) == 300 and one.arrival[0] == 0 and not one.oracle
    assert len(set(one.client.tolist())) > 3


SHARES = {"conversation": (0.0, 0.0), "code": (0.0, 0.0), "mooncake": (0.366, 0.387)}
"""Of the traces: blocks that an infinite cache would have, and requests that share more than the common block."""
GAPS = {"conversation": 1.09, "code": 13.15, "mooncake": 3.03}
"""Of the traces: standard deviation over mean of the times between arrivals."""
FILES = {"conversation": "azure2023_conv", "code": "azure2023_code", "mooncake": "mooncake_conversation_trace"}


@pytest.mark.parametrize("name", GENERATORS)
def test_sessions_and_gaps_are_those_of_the_trace(name: str) -> None:
    """An hour long: hits within .03, continued prompts within .05, the gaps' variation within 10 % (code: 50 %)."""
    workload = synthetic(name, {"conversation": 19366, "code": 8819, "mooncake": 12031}[name], 3)
    known, blocks = workload.known_blocks(), max(1, int(workload.prefix_blocks.sum()))
    assert known.sum() / blocks == pytest.approx(SHARES[name][0], abs=0.03)
    assert np.mean(known > 1) == pytest.approx(SHARES[name][1], abs=0.05)
    gaps = np.diff(workload.arrival)
    assert gaps.std() / gaps.mean() == pytest.approx(GAPS[name], rel=0.5 if name == "code" else 0.1)
    if name == "mooncake":
        quantiles = np.quantile(workload.prompt, [0.25, 0.5, 0.75, 0.9])
        assert quantiles == pytest.approx([2306, 6909, 15367, 27367], rel=0.12)
        turns = np.bincount(workload.group)
        assert 2 < np.max(turns) < 200 and np.mean(turns == 1) > 0.5


@pytest.mark.skipif(FOLDER not in os.environ, reason=f"set {FOLDER} to a folder with the public traces")
@pytest.mark.parametrize("name", GENERATORS)
def test_public_traces_have_the_figures_the_generators_were_fitted_to(name: str) -> None:
    """The real files, where they are: shares of hits and variation of gaps."""
    if FILES[name] not in available():
        pytest.skip(f"no {FILES[name]} in {FOLDER}")
    workload = load_workload(FILES[name])
    known, blocks = workload.known_blocks(), max(1, int(workload.prefix_blocks.sum()))
    assert known.sum() / blocks == pytest.approx(SHARES[name][0], abs=0.001)
    assert np.mean(known > 1) == pytest.approx(SHARES[name][1], abs=0.001)
    gaps = np.diff(workload.arrival)
    assert gaps.std() / gaps.mean() == pytest.approx(GAPS[name], rel=0.005)


def test_reading_by_format_and_by_itself_is_the_same(tmp_path: Path) -> None:
    """The named readers and the one that looks at the first line."""
    for text, reader in ((AZURE, read_azure), (lines(*MOONCAKE), read_mooncake), (lines(GOOD), read_jsonl)):
        (tmp_path / "x").write_text(text)
        assert same(reader(tmp_path / "x"), read_trace(tmp_path / "x"))
