"""vLLM's OpenAI-compatible server as a process, and the HTTP requests that tests put to it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from tests.vllm.offline import CLASS, environment
from tests.vllm.world import BLOCK, ROOT

START_SECONDS = 180.0
REQUEST_SECONDS = 120.0
ARGUMENTS = ("--load-format", "dummy", "--enforce-eager", "--skip-tokenizer-init", "--seed", "1")


def free_port() -> int:
    """A port of this machine on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A running server of `model`, scheduled by the policy exported to `folder`."""

    def __init__(self, model: Path, folder: Path, *arguments: str, **variables: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._metrics = tempfile.TemporaryDirectory()
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  as long as the server runs
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)),
                *("--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port), *ARGUMENTS),
                *("--block-size", str(BLOCK), "--scheduler-cls", CLASS, *arguments),
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=environment(
                folder, PROMETHEUS_MULTIPROC_DIR=self._metrics.name, VLLM_LOGGING_LEVEL="INFO", **variables
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._metrics.cleanup()
        self._log.close()

    def wait(self) -> Self:
        """Until it serves."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return self
            except OSError:
                time.sleep(0.2)
        raise AssertionError(f"vLLM does not serve:\n{self.log()}")

    def log(self) -> str:
        """What it has written so far."""
        self._log.seek(0)
        return self._log.read()

    def complete(self, request: Mapping[str, Any]) -> tuple[list[int], float]:
        """The tokens of one greedy completion, and when it was there.

        Raises:
            urllib.error.HTTPError: the server refused it.
        """
        body = {
            "model": "tiny",
            "prompt": request["prompt"],
            "max_tokens": request["output"],
            "temperature": 0.0,
            "ignore_eos": True,
            "return_token_ids": True,
            "vllm_xargs": request["xargs"],
        }
        headers = {"Content-Type": "application/json"}
        post = urllib.request.Request(f"{self.url}/v1/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(post, timeout=REQUEST_SECONDS) as response:
            tokens = json.load(response)["choices"][0]["token_ids"]
        return tokens, time.monotonic()

    def complete_all(
        self, requests: Sequence[Mapping[str, Any]], busy: Sequence[Mapping[str, Any]]
    ) -> tuple[list[int], list[list[int]]]:
        """The order of completion, and the tokens by request, of requests sent at once while those of `busy` run."""
        with ThreadPoolExecutor(len(requests) + len(busy)) as pool:
            ahead = [pool.submit(self.complete, request) for request in busy]
            end = time.monotonic() + REQUEST_SECONDS
            while self.running() < len(busy) and time.monotonic() < end:
                time.sleep(0.01)
            answers = list(pool.map(self.complete, requests))
            for future in ahead:
                future.result()
        order = sorted(range(len(answers)), key=lambda number: answers[number][1])
        return order, [tokens for tokens, _ in answers]

    def running(self) -> float:
        """How many requests run."""
        return sum(self.metrics("vllm:num_requests_running").values())

    def metrics(self, prefix: str = "scheduling_policy_") -> dict[str, float]:
        """The figures at `/metrics` whose names begin so, by name and labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith(prefix))
        return {name: float(value) for name, value in pairs}
