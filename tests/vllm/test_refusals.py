"""What keeps an exported scheduler from starting: one sentence with the remedy, before any request is lost."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from vllm.v1.core.kv_cache_manager import KVCacheManager
from vllm.v1.core.sched import request_queue, scheduler

from evaluators.vllm_folder import write_folder
from tests.vllm.driver import make_scheduler
from tests.vllm.offline import CLASS, environment
from tests.vllm.server import ARGUMENTS
from tests.vllm.world import ROOT

SETTINGS = {
    **{"block_size": 16, "blocks": 100, "max_running": 4, "max_tokens": 64, "long_prefill": 0},
    **{"reserve": True, "watermark": 0.0, "prefix_cache": True},
}
HOLD = "def hold(view):\n    return view.prompt\n"
BEST = "def best(view):\n    return 1\n"


@pytest.fixture
def folder(sjf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An export that a test can spoil."""
    monkeypatch.syspath_prepend(str(sjf))  # for the runtime, which is the same in all
    return shutil.copytree(sjf, tmp_path / "export")


def start(folder: Path) -> str:
    """What comes of making the scheduler of `folder` as vLLM does."""
    spec = importlib.util.spec_from_file_location("exported", folder / "scheduler.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        made = make_scheduler(SETTINGS, module.PolicyScheduler)
    except module.CannotStart as error:
        return str(error)
    made.shutdown()
    return f"started {type(made).__name__}"


def append(path: Path) -> None:
    """Change a file."""
    path.write_text(path.read_text() + "\n# more")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: None, "started PolicyScheduler"),
        (lambda folder: append(folder / "policy.py"), "policy.py' has been changed since it was exported; export"),
        (lambda folder: (folder / "policy.py").unlink(), "policy.py' cannot be read (No such file or directory); "),
        (lambda folder: (folder / "manifest.json").unlink(), "is no exported policy: manifest.json: No such file"),
        (lambda folder: write_folder(folder, "1 / 0", {}), "policy.py' does not start: exception: ZeroDivisionError"),
        (lambda folder: write_folder(folder, BEST, {}), "does not start: bad_source: defines no function of a policy"),
        (
            lambda folder: write_folder(folder, HOLD, {}),
            "'vllm' cannot carry out 'hold'; engines that can: sim",
        ),
        (lambda folder: write_folder(folder, "while True: pass", {}), "does not start: wall_timeout: no answer within"),
    ],
)
def test_a_folder_that_is_not_as_exported_is_refused(folder: Path, change, said: str) -> None:
    """A changed, missing or bad policy is named; a good one starts."""
    change(folder)
    assert said in start(folder)


def test_a_vllm_without_what_it_takes_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named, and the versions that have it."""
    monkeypatch.delattr(KVCacheManager, "get_block_ids")
    said = start(folder)
    assert "the scheduler of vLLM 0.32.0 has no kv_cache_manager.get_block_ids as policies need it; versions" in said
    assert said.endswith("install one of them, or start vLLM without --scheduler-cls")


def test_another_queue_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --scheduling-policy priority vLLM keeps a heap, whose order cannot be set."""
    monkeypatch.setattr(scheduler, "create_request_queue", lambda policy: request_queue.PriorityRequestQueue())
    assert "start it with --scheduling-policy fcfs" in start(folder)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ANSWER_MS", "soon", "SCHED_POLICY_ANSWER_MS is 'soon', which is no number; set it to one, or unset it"),
        ("WINDOW", "1", "SCHED_POLICY_WINDOW is '1'; set it to a number in 2"),
        ("ISOLATION", "some", "SCHED_POLICY_ISOLATION is 'some'; set it to one of rlimits-only"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    """The variable, its value and what it may be."""
    monkeypatch.setenv(f"SCHED_POLICY_{name}", value)
    assert said in start(folder)


def test_a_server_with_a_changed_policy_ends_and_says_why(model: Path, folder: Path) -> None:
    """vLLM does not serve by another policy than the one exported, nor hang."""
    append(folder / "policy.py")
    found = subprocess.run(
        [
            *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--port", "0"),
            *(*ARGUMENTS, "--scheduler-cls", CLASS),
        ],
        env=environment(folder),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert found.returncode != 0
    assert "policy.py' has been changed since it was exported; export the candidate again" in found.stdout


def test_without_numpy_the_remedy_is_said(sjf: Path) -> None:
    """One sentence, no traceback."""
    found = subprocess.run(
        [sys.executable, "-S", "-c", "import scheduler"],
        env={"PYTHONPATH": str(sjf), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 1
    assert found.stderr == "error: the scheduling policy needs NumPy, which this Python lacks; pip install numpy\n"
