"""vLLM's own request log as a workload."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine_bridge.traces import read_trace
from engine_bridge.workload import WorkloadError

REAL = Path(__file__).parent / "fixtures" / "vllm-0.32-requests.log"
"""Lines of vLLM 0.32.0 with VLLM_LOGGING_LEVEL=DEBUG, --enable-log-requests and --enable-log-outputs."""

OLD = (
    "INFO 12-31 23:59:{second} [logger.py:43] Received request cmpl-{name}-0: prompt: 'a prompt_token_ids: [1, 2] b', "
    "params: SamplingParams(n=1, ignore_eos={eos}, max_tokens=7, min_tokens=0), prompt_token_ids: {ids}, "
    "prompt_embeds shape: None, lora_request: None, prompt_adapter_request: None."
)
"""A line of vLLM 0.9."""


def test_a_real_log_is_read(tmp_path: Path) -> None:
    """A forced completion, a chat, a streamed chat and a plain completion: lengths, and times spread over a second."""
    workload = read_trace(REAL)
    assert workload.prompt.tolist() == [4, 11, 7, 3]
    assert workload.output.tolist() == [4, 4, 3, 5]  # the third was streamed: one token had no text of its own
    assert workload.arrival[0] == 0 and workload.arrival[1] == 1
    assert workload.arrival[2:].tolist() == pytest.approx([4 / 3, 5 / 3])
    assert workload.origin == "vLLM's request log vllm-0.32-requests.log"


def test_prefixes_are_kept_and_text_is_not(tmp_path: Path) -> None:
    """Prompts that start alike share block ids and a group; ids are numbers in order of appearance."""
    shared = list(range(500, 532))
    prompts = {"a": [*shared, 1, 2], "b": [*shared, 3], "c": list(range(20))}
    lines = [OLD.format(second=10, name=name, eos=True, ids=ids) for name, ids in prompts.items()]
    (tmp_path / "old.log").write_text("something else\n" + "\n".join(lines))
    workload = read_trace(tmp_path / "old.log")
    assert workload.prompt.tolist() == [34, 33, 20] and workload.output.tolist() == [7, 7, 7]
    assert [workload.blocks(request).tolist() for request in range(3)] == [[0, 1], [0, 1], [2]]
    assert workload.group.tolist() == [0, 0, -1] and workload.hash_block == 16


def test_what_has_no_length_is_left_out_and_said(tmp_path: Path) -> None:
    """A completion whose output nobody logged is not guessed; a log of such only is refused with the remedy."""
    known = OLD.format(second=10, name="a", eos=True, ids=[1, 2])
    unknown = OLD.format(second=11, name="b", eos=False, ids=[1, 2])
    (tmp_path / "some.log").write_text(f"{known}\n{unknown}\n")
    workload = read_trace(tmp_path / "some.log")
    assert len(workload) == 1 and workload.origin.endswith("1 without lengths left out")
    (tmp_path / "none.log").write_text(unknown)
    with pytest.raises(WorkloadError, match=r"1 requests, none with prompt and output; log them with VLLM_LOGGING"):
        read_trace(tmp_path / "none.log")


def test_the_year_may_turn(tmp_path: Path) -> None:
    """The log names no year: what comes after 31 December is later."""
    lines = [OLD.format(second=58, name="a", eos=True, ids=[1])]
    lines.append(OLD.format(second=58, name="b", eos=True, ids=[1]).replace("12-31 23:59:58", "01-01 00:00:03"))
    (tmp_path / "year.log").write_text("\n".join(lines))
    assert read_trace(tmp_path / "year.log").arrival.tolist() == [0, 5]
