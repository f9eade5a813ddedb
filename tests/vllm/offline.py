"""vLLM's offline interface in a process of its own, which serves one batch of requests for each line of its input.

python -m tests.vllm.offline MODEL '{"max_num_seqs": 3, …}' < lines of JSON
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from tests.vllm.world import BLOCK, ROOT

CLASS = "scheduler.PolicyScheduler"
COMMON = {"load_format": "dummy", "skip_tokenizer_init": True, "enforce_eager": True, "seed": 1, "block_size": BLOCK}


def environment(folder: Path | None, **more: str) -> dict[str, str]:
    """The environment in which vLLM finds the scheduler in `folder`; answers are not late on a busy machine."""
    return {
        **os.environ,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",  # several would wait for each other on a busy machine
        "SCHED_POLICY_ANSWER_MS": "5000",
        **({} if folder is None else {"PYTHONPATH": str(folder)}),
        **more,
    }


class Offline:
    """A process with an `LLM`, scheduled by the policy exported to `folder`, or by vLLM alone."""

    def __init__(self, model: Path, folder: Path | None, settings: Mapping[str, Any], **variables: str) -> None:
        chosen = {**COMMON, **settings, **({} if folder is None else {"scheduler_cls": CLASS})}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.vllm.offline", str(model), json.dumps(chosen)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(folder, VLLM_ENABLE_V1_MULTIPROCESSING="0", **variables),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def serve(self, requests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Order of completion, tokens by request, and seconds, of requests that are all there from the start."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(requests) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith('{"order"'):
                return json.loads(line)  # type: ignore[no-any-return]
        raise AssertionError(f"vLLM ended:\n{self.errors()}")

    def errors(self) -> str:
        """What it wrote to its standard error, once it has ended."""
        assert self._process.stderr is not None
        return self._process.stderr.read()


def main(lines: IO[str]) -> None:
    """Serve the batches in `lines`."""
    from vllm import LLM, SamplingParams

    llm = LLM(sys.argv[1], **json.loads(sys.argv[2]))
    for line in lines:
        requests = json.loads(line)
        engine, order, tokens = llm.llm_engine, [], {}
        for number, request in enumerate(requests):
            parameters = SamplingParams(
                temperature=0.0,
                max_tokens=request["output"],
                ignore_eos=True,
                detokenize=False,
                extra_args=request["xargs"],
            )
            engine.add_request(str(number), {"prompt_token_ids": request["prompt"]}, parameters)
        start, steps = time.perf_counter(), 0
        while engine.has_unfinished_requests():
            steps += 1
            for output in engine.step():
                if output.finished:
                    order.append(int(output.request_id))
                    tokens[int(output.request_id)] = list(output.outputs[0].token_ids)
        seconds = time.perf_counter() - start
        found = {"order": order, "tokens": [tokens[n] for n in sorted(tokens)], "seconds": seconds, "steps": steps}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.stdin)
