"""The GPU check at tiny size on the CPU: what it reports, how it ends, and what it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; `make test-engine` installs it and runs this")

from engine_bridge.gpu_check import __main__ as command  # noqa: E402
from engine_bridge.gpu_check.report import Report  # noqa: E402
from engine_bridge.gpu_check.steps import prefill_operations, weight_bytes  # noqa: E402
from engine_bridge.torch_engine.shape import PRESETS  # noqa: E402


def check(*arguments: str | Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command; `before` is done first in its process."""
    code = f"{before}\nimport sys\nfrom engine_bridge.gpu_check.__main__ import main\nsys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )


def test_everything_at_tiny_size(tmp_path: Path) -> None:
    """All parts run: kernels right, steps timed, policies served, the clock fitted, the simulator compared."""
    out = tmp_path / "out.json"
    finished = check(out, "--device", "cpu", "--quick")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    found = json.loads(out.read_text())
    assert found["kernels"]["right"] is True
    assert found["rates"]["copy"]["bytes_per_second"] > 0
    for part in ("dense", "moe"):
        assert set(found[part]["policies"]) >= {"fcfs", "sarathi_512", "slai", "layered_prefill"}
        assert found[part]["calibration"]["fitted"]
        assert set(found[part]["simulator"]["fcfs"]["errors"]) >= {"TTFT mean", "TPOT mean", "throughput"}
        assert (tmp_path / found[part]["calibration"]["steps"]).is_file()
        assert all(row["share"] > 0 for row in found[part]["decode"] + found[part]["prefill"])


def test_no_gpu(tmp_path: Path) -> None:
    """Without a GPU: one sentence with the remedy, exit code 2, no file."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    finished = check(tmp_path / "out.json")
    assert finished.returncode == 2
    assert "--device cpu --quick" in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("package", ["openai", "pydantic", "typer", "scipy", "jinja2", "matplotlib", "rich", "pulp"])
def test_needs_none_of(package: str, tmp_path: Path) -> None:
    """The modules of the check import without this package."""
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "import engine_bridge.gpu_check.__main__, engine_bridge.gpu_check.ahead, engine_bridge.gpu_check.child\n"
        "from engine_bridge.gpu_check.part import parts; parts()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_part_that_takes_too_long_is_cut_off(tmp_path: Path) -> None:
    """It is killed in time and said to be, and what it had found is kept."""
    out = tmp_path / "out.json"
    report = Report(out)
    report.put(("check", "seconds"), 1.0)
    command.run_part(command.Order(out, "cpu", quick=True, seconds=9), report, "kernels", 0.2)
    assert "cut off" in json.loads(out.read_text())["kernels"]["failed"]
    assert command.conclude(report) == 1


def test_a_part_that_crashes_is_said_to(tmp_path: Path) -> None:
    """Its exit code and last words are in the report."""
    report = Report(tmp_path / "out.json")
    command.run_part(command.Order(report.path, "no-such", quick=True, seconds=9), report, "rates", 60)
    assert "device 'no-such' is unknown" in report.results["rates"]["failed"]


def test_what_steps_are_measured_against() -> None:
    """Bytes and operations of Llama-3-8B as the reference has them: 16.06 GB; about 2 operations a weight and token."""
    shape = PRESETS["llama3-8b"]
    assert weight_bytes(shape, 1, 2) == pytest.approx(16.06e9, rel=1e-3)
    operations = prefill_operations(shape, 1, 2048)
    layers = shape.parameter_count - 2 * shape.vocab * shape.hidden
    assert operations == pytest.approx(2 * layers * 2048, rel=0.1)
    experts = PRESETS["qwen3-30b-a3b"]
    assert weight_bytes(experts, 1, 2) < weight_bytes(experts, 64, 2) < 2 * experts.parameter_count
