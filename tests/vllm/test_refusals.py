"""What keeps an exported scheduler from starting: one sentence with the remedy, before any request is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vllm.offline import environment
from tests.vllm.world import ROOT

START = """
import sys
sys.path.append({root!r})
from tests.vllm.driver import make_scheduler
from scheduler import CannotStart, PolicyScheduler
{change}
try:
    made = make_scheduler(dict(block_size=16, blocks=100, max_running=4, max_tokens=64, long_prefill=0, reserve=True,
                               watermark=0.0, prefix_cache=True), PolicyScheduler)
except CannotStart as error:
    print("refused:", error)
else:
    made.shutdown()
    print("started", type(made).__name__)
"""


def start(folder: Path, change: str = "", **variables: str) -> str:
    """What comes of making the scheduler of `folder` as vLLM does, after the statements `change`."""
    found = subprocess.run(
        [sys.executable, "-c", START.format(root=str(ROOT), change=change)],
        env=environment(folder, VLLM_LOGGING_LEVEL="ERROR", **variables),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()[-1]


def append(path: Path, text: str) -> None:
    """Change a file."""
    path.write_text(path.read_text() + text)


def overwrite(folder: Path, source: str) -> None:
    """Put another policy into an export, manifest and all."""
    from evaluators.vllm_folder import write_folder

    write_folder(folder, source, {})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: None, "started PolicyScheduler"),
        (
            lambda folder: append(folder / "policy.py", "\n# more"),
            "policy.py' has been changed since it was exported; ",
        ),
        (lambda folder: (folder / "policy.py").unlink(), "policy.py' cannot be read (No such file or directory); "),
        (lambda folder: (folder / "manifest.json").unlink(), "is no exported policy: manifest.json: No such file"),
        (lambda folder: overwrite(folder, "1 / 0"), "policy.py' does not start: exception: ZeroDivisionError"),
        (lambda folder: overwrite(folder, "def best(view):\n    return 1\n"), "defines no function of a policy"),
        (
            lambda folder: overwrite(folder, "def hold(view):\n    return view.prompt\n"),
            "vllm does not carry out 'hold'",
        ),
        (lambda folder: overwrite(folder, "while True:\n    pass\n"), "does not start: wall_timeout: no answer within"),
    ],
)
def test_a_folder_that_is_not_as_exported_is_refused(sjf: Path, tmp_path: Path, change, said: str) -> None:
    """A changed, missing or bad policy is named."""
    folder = shutil.copytree(sjf, tmp_path / "export")
    change(folder)
    assert said in start(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "import vllm.v1.core.kv_cache_manager as m; del m.KVCacheManager.get_block_ids",
            "the scheduler of vLLM 0.32.0 has no kv_cache_manager.get_block_ids as policies need it; versions 0.9.2",
        ),
        (
            "import vllm.v1.core.sched.scheduler as m, vllm.v1.core.sched.request_queue as q; "
            "m.create_request_queue = lambda policy: q.PriorityRequestQueue()",
            "start it with --scheduling-policy fcfs",
        ),
    ],
)
def test_a_vllm_that_does_not_fit_is_refused(sjf: Path, change: str, said: str) -> None:
    """What is missing, and what works, are said."""
    assert said in start(sjf, change)


def test_settings_that_mean_nothing_are_refused(sjf: Path) -> None:
    """The variable, its value and what it may be."""
    assert "SCHED_POLICY_ANSWER_MS is 'soon', which is no number" in start(sjf, SCHED_POLICY_ANSWER_MS="soon")
    assert "SCHED_POLICY_WINDOW is '1'; set it to a number in 2" in start(sjf, SCHED_POLICY_WINDOW="1")


def test_a_server_with_a_changed_policy_ends_at_once_and_says_why(model: Path, sjf: Path, tmp_path: Path) -> None:
    """vLLM does not serve by another policy than the one exported, nor hang."""
    folder = shutil.copytree(sjf, tmp_path / "export")
    append(folder / "policy.py", "\n# more")
    found = subprocess.run(
        [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--load-format", "dummy"]
        + ["--enforce-eager", "--skip-tokenizer-init", "--scheduler-cls", "scheduler.PolicyScheduler", "--port", "0"],
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
