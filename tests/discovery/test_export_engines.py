"""`discover export --to vllm`, `--to sglang` and `discover doctor DIR` through the real commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from discovery.commands.doctor_folder import sample_view
from discovery.exporting.winner import find_winner
from engine_bridge.policy import load_policy
from evaluators.heuristic import baselines
from evaluators.vllm_folder import CLASS
from problems.registry import load_problem
from problems.serving.adapters import ENTRIES
from tests.discovery.conftest import discover


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with exports of the baseline sarathi_512 for vLLM and lpm for SGLang."""
    place = tmp_path_factory.mktemp("exports")
    for name, engine in (("sarathi_512", "vllm"), ("lpm", "sglang")):
        result = discover("export", name, engine, "--to", engine, cwd=place)
        assert (result.returncode, result.stdout) == (0, f"wrote {engine}\n"), result.stderr
    return place


def test_the_folder_says_how_to_use_it_and_how_to_stop(folder: Path) -> None:
    """The exact command, what the policy decides, its failures, its origin, the way back."""
    text = (folder / "vllm" / "README.md").read_text()
    assert f"vllm serve MODEL --scheduler-cls {CLASS}" in text and "PYTHONPATH=$PWD" in text
    for said in ("Sarathi-Serve with a budget of 512", "`token_budget`", "`rank_running`", "Roll back", "A baseline"):
        assert said in text
    assert "`rank_waiting`" not in text
    manifest = json.loads((folder / "vllm" / "manifest.json").read_text())
    assert manifest["functions"] == ["rank_running", "token_budget"]
    assert (manifest["name"], manifest["engine"], manifest["origin"]) == ("sarathi_512", "vllm", "baseline")


def test_the_doctor_finds_a_sound_export_sound(folder: Path) -> None:
    """Every file, the isolation of this machine, and the time of each function's answer."""
    result = discover("doctor", "vllm", "--json", cwd=folder)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["policy"] == "sarathi_512" and report["files"].endswith("all as exported")
    assert report["answer token_budget"].endswith("µs") and report["answer rank_running"].endswith("µs")
    assert discover("doctor", "sglang", cwd=folder).returncode == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("echo '# more' >> vllm/policy.py", "policy.py' has been changed since it was exported"),
        ("rm vllm/policy.py", "policy.py' cannot be read (No such file or directory)"),
        ("echo x >> vllm/policy_runtime/policy.py", "policy_runtime/policy.py' has been changed"),
        ("rm vllm/manifest.json", "is no exported policy: manifest.json: No such file"),
        ("echo '[]' > vllm/manifest.json", "is no manifest of an exported policy"),
    ],
)
def test_the_doctor_names_what_is_wrong(folder: Path, tmp_path: Path, change: str, said: str) -> None:
    """One sentence with the remedy; exit code 1."""
    subprocess.run(f"cp -r {folder}/vllm . && {change}", shell=True, cwd=tmp_path, check=True)
    result = discover("doctor", "vllm", cwd=tmp_path)
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
    assert said in result.stderr and "export the candidate again" in result.stderr


def test_winners_of_other_problems_are_exported_as_policies(small_run: Path, tmp_path: Path) -> None:
    """A candidate of an SMTT run: adapted, with its scores and where it comes from; it ranks as the adapter says."""
    result = discover("export", "small/1", tmp_path / "out", "--to", "vllm", cwd=small_run)
    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["functions"] == ["rank_waiting"] and manifest["origin"] == "heuristic for smtt_dispatch"
    assert (manifest["provenance"]["run"], manifest["provenance"]["heuristic"]) == ("small", "1")
    assert any(line.startswith("train: ") and "optimal bounds" in line for line in manifest["scores"])
    text = (tmp_path / "out" / "README.md").read_text()
    assert "Number 1 of run small of the problem smtt_dispatch" in text and manifest["scores"][0] in text
    policy = load_policy(tmp_path / "out" / "policy.py")
    view = sample_view("rank_waiting")
    assert sorted(policy.ask("rank_waiting", view).tolist()) == list(range(len(view)))
    assert discover("doctor", tmp_path / "out", cwd=tmp_path).returncode == 0


def test_heuristics_of_every_other_problem_become_policies() -> None:
    """One of each problem that has an adapter, read from its own baselines; they load sealed off and rank requests."""
    for problem in ENTRIES:
        baseline = baselines(load_problem(problem))[0].name
        winner = find_winner(f"{problem}:{baseline}", "vllm")
        assert winner.functions == ("rank_waiting",) and winner.facts["origin"] == f"heuristic for {problem}"


def test_functions_are_those_that_are_there_once_the_file_has_run(tmp_path: Path) -> None:
    """What stands behind a condition that does not hold is neither announced nor refused."""
    (tmp_path / "mine.py").write_text(
        "def rank_waiting(view):\n    return view.prompt\nif 1 > 2:\n    def hold(view):\n        return view.prompt\n"
    )
    winner = find_winner(str(tmp_path / "mine.py"), "vllm")
    assert (winner.name, winner.functions) == ("mine", ("rank_waiting",))


def test_champions_bring_their_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `discover accept` keeps beside a champion's file goes into the manifest."""
    monkeypatch.chdir(tmp_path)
    Path("mine-3.py").write_text("def priority(p, d, t):\n    return d\n")
    record = {
        "problem": "smtt_dispatch",
        "trial": {"candidate": "3", "seed": 7, "instances": 20, "gaps": {"3": 0.5, "mddc": 0.6}},
        "archive_row": {"run": "mine", "problem": "smtt_dispatch", "heuristic": "3", "origin": "genetic: tune"},
    }
    Path("mine-3.json").write_text(json.dumps(record))
    winner = find_winner("smtt_dispatch:mine-3.py", "vllm")
    assert winner.scores == ("fresh instances (seed 7, 20 of them): 0.500 % above the bounds; mddc 0.600 %",)
    assert winner.facts["provenance"]["run"] == "mine"
    Path("mine-3.json").write_text("{}")
    assert find_winner("smtt_dispatch:mine-3.py", "vllm").scores == ()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("slai", "out", "--to", "vllm"), "cannot run in vllm, which does not carry out 'hold'; take out the function"),
        (("sarathi_512", "out", "--to", "sglang"), "does not carry out 'rank_running'"),
        (("fcsf", "out", "--to", "vllm"), "did you mean 'fcfs'?"),
        (("fcfs", "out", "--to", "vlm"), "there is no such target; did you mean 'vllm'?"),
        (("fcfs", ".", "--to", "vllm"), "'.' is there already; choose another folder"),
        (("broken.py", "out", "--to", "vllm"), "policy 'broken.py': exception"),
        (("smtt:mdd", "out", "--to", "vllm"), "heuristics of 'smtt' cannot serve; those of smtt_dispatch,"),
        (("rule.py", "out", "--to", "vllm"), "as a heuristic of kv_admission it is written kv_admission:rule.py"),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """Exit code 2, one sentence, nothing written."""
    (tmp_path / "broken.py").write_text("1 / 0\n\ndef rank_waiting(view):\n    return view.prompt\n")
    (tmp_path / "rule.py").write_text("def admit_priority(p, o, t):\n    return o\n")
    result = discover("export", *arguments, cwd=tmp_path)
    assert result.returncode == 2 and said in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


STAND_IN = {
    "sglang/__init__.py": "",
    "sglang/srt/__init__.py": "",
    "sglang/srt/managers/__init__.py": "",
    "sglang/srt/plugins/__init__.py": """
        from importlib.metadata import entry_points

        from sglang.srt.plugins.hook_registry import HookRegistry

        def load_plugins():
            for each in entry_points(group="sglang.srt.plugins"):
                each.load()()
            HookRegistry.apply()
        """,
    "sglang/srt/plugins/hook_registry.py": """
        import functools
        import pkgutil
        from enum import Enum

        class HookType(Enum):
            AROUND = "around"

        class HookRegistry:
            hooks = []

            @classmethod
            def register(cls, target, hook, hook_type):
                assert hook_type is HookType.AROUND
                cls.hooks.append((target, hook))

            @classmethod
            def apply(cls):
                for target, hook in cls.hooks:
                    place, _, name = target.rpartition(".")
                    owner = pkgutil.resolve_name(place)
                    original = getattr(owner, name)
                    bound = functools.partial(hook, original)
                    setattr(owner, name, lambda *args, **kwargs: bound(*args, **kwargs))
        """,
    "sglang/srt/managers/schedule_policy.py": """
        class SchedulePolicy:
            def __init__(self, tree_cache):
                self.tree_cache = tree_cache

            def calc_priority(self, waiting_queue, running_batch=None, processed_tokens=0):
                for place, request in enumerate(waiting_queue):
                    request.prefix_indices = list(range(request.hit))
                waiting_queue.reverse()  # an order of its own
        """,
}
"""The interface that the export is written against, as SGLang's sources have it; nothing more of it."""

DRIVE = """
    import json, os, sys, types
    from sglang.srt.plugins import load_plugins
    load_plugins()
    from sglang.srt.managers.schedule_policy import SchedulePolicy

    def request(name, prompt, limit, hit=0, **given):
        parameters = types.SimpleNamespace(max_new_tokens=limit, custom_params=given or None)
        return types.SimpleNamespace(rid=name, origin_input_ids=[0] * prompt, output_ids=[], sampling_params=parameters,
                                     prefix_indices=None, hit=hit, priority=None)

    allocator = types.SimpleNamespace(available_size=lambda: 900, size=1000)
    cache = types.SimpleNamespace(token_to_kv_pool_allocator=allocator, evictable_size=lambda: 50)
    policy = SchedulePolicy(cache)
    queue = [request("a", 10, 50, hit=3), request("b", 20, 9, hit=9), request("c", 30, 99, predicted=2)]
    seen = []
    for step in range(int(sys.argv[1])):
        if step == 1:
            queue.append(request("d", 5, 70, predicted="nonsense", ttft=-1))
        policy.calc_priority(queue, types.SimpleNamespace(reqs=[1, 2]))
        seen.append([each.rid for each in queue])
    policy.calc_priority(queue[:1])
    policy.calc_priority(waiting_queue=[])
    print(json.dumps(seen))
    """


def drive_sglang(place: Path, policy: str, steps: int = 3, **env: str) -> subprocess.CompletedProcess[str]:
    """Export a policy and let the stand-in for SGLang load it by its entry point, in a fresh Python."""
    for name, text in STAND_IN.items():
        path = place / "stand_in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    (place / "policy.py").write_text(policy)
    result = discover("export", "policy.py", "out", "--to", "sglang", cwd=place)
    assert result.returncode == 0, result.stderr
    paths = os.pathsep.join([str(place / "out"), str(place / "stand_in"), str(place / "prometheus")])
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DRIVE), str(steps)], cwd="/", capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": paths, **env},
    )  # fmt: skip


@pytest.fixture
def metrics_package(tmp_path: Path) -> Path:
    """A stand-in for prometheus_client, which comes with SGLang."""
    path = tmp_path / "prometheus" / "prometheus_client"
    path.mkdir(parents=True)
    (path / "__init__.py").write_text(
        "class _Any:\n    def __init__(self, *a, **k): pass\n"
        "    def __getattr__(self, name): return lambda *a, **k: self\n"
        "Counter = Gauge = Histogram = _Any\n"
    )
    return tmp_path


def test_sglang_finds_the_plug_in_and_follows_it(metrics_package: Path) -> None:
    """By its entry point, with nothing installed: the queue is in the policy's order, hints count, ties by arrival."""
    found = drive_sglang(metrics_package, "def rank_waiting(view):\n    return view.predicted\n")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == [["c", "b", "a"], ["c", "b", "a", "d"], ["c", "b", "a", "d"]]
    alike = "def rank_waiting(view):\n    return 0 * view.prompt - (view.cached > 100) + (view.free_blocks != 950)\n"
    subprocess.run(["rm", "-r", str(metrics_package / "out")], check=True)
    found = drive_sglang(metrics_package, alike)
    assert json.loads(found.stdout) == [["a", "b", "c"], ["a", "b", "c", "d"], ["a", "b", "c", "d"]]


def test_sglang_goes_on_when_the_policy_fails(metrics_package: Path) -> None:
    """Lies, crashes and silence give first come, first served, and an end; a changed file is refused at the start."""
    faults = (
        "    return [1.0] * 7",
        "    import os\n    os._exit(1)",
        "    while True: pass",
    )
    for place, body in enumerate(faults):
        here = metrics_package / str(place)
        here.mkdir()
        subprocess.run(["cp", "-r", str(metrics_package / "prometheus"), str(here)], check=True)
        found = drive_sglang(here, f"def rank_waiting(view):\n{body}\n", steps=4)
        assert found.returncode == 0, found.stderr
        assert json.loads(found.stdout)[-1] == ["a", "b", "c", "d"]
        assert "first come, first served in this step" in found.stderr
    (metrics_package / "0" / "out" / "policy.py").write_text("x = 1\n")
    paths = os.pathsep.join(str(metrics_package / "0" / name) for name in ("out", "stand_in", "prometheus"))
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DRIVE), "1"], cwd="/", capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert "has been changed since it was exported" in found.stderr


def test_the_sample_view_is_one_an_engine_could_show() -> None:
    """What the doctor asks with: as many as an engine shows, running ones first, finite numbers."""
    view = sample_view("token_budget")
    assert len(view) == view.waiting + view.running and np.isfinite(view.vectors).all()
    assert view.is_running[: int(view.running)].all() and not view.is_running[int(view.running) :].any()
    assert len(sample_view("rank_waiting")) == view.waiting and len(sample_view("rank_running")) == view.running
