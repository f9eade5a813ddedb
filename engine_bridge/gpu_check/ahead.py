"""Compiles the scheduler and the simulator by using them, so that their machine code is on disk for other processes."""

from __future__ import annotations

from engine_bridge.cost import load_profile
from engine_bridge.gpu_check.policies import find_policies
from engine_bridge.harness import warm_up_workload
from engine_bridge.online import simulate
from engine_bridge.policy import load_policy
from engine_bridge.settings import EngineSettings
from engine_bridge.torch_engine.engine import Engine
from engine_bridge.torch_engine.opening import open_runner


def compile_all() -> None:
    """Serve a few requests with every policy, on the CPU and in the simulator."""
    settings = EngineSettings(blocks=256)
    workload = warm_up_workload(settings, 64).select(range(8))
    engine = Engine(open_runner("tiny", device="cpu", blocks=256), settings)
    for path in find_policies().values():
        engine.serve(workload, load_policy(path))
        simulate(workload, load_policy(path), settings, load_profile("h200-llama3-8b"))


if __name__ == "__main__":
    compile_all()
