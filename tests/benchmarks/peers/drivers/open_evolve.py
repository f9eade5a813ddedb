"""Runs OpenEvolve on the task described in the JSON file named on the command line; runs in its own environment."""

import asyncio
import json
import os
import sys
from pathlib import Path

from openevolve import OpenEvolve
from openevolve.config import Config, DatabaseConfig, EvaluatorConfig, LLMConfig, LLMModelConfig, PromptConfig

job = json.loads(Path(sys.argv[1]).read_text())
folder = Path(job["folder"])
os.environ["PEERS_JUDGE"] = job["judge"]
(folder / "initial.py").write_text(job["program"])
config = Config(
    max_iterations=20 * job["calls"],  # the endpoint ends the run: iterations without a call do not count
    checkpoint_interval=10**6,
    random_seed=job["seed"],
    language="python",
    diff_based_evolution=False,  # whole files: what a small model can write
    llm=LLMConfig(
        api_base=job["url"],
        api_key="none",
        models=[LLMModelConfig(name=job["model"])],
        temperature=job["temperature"],
        max_tokens=job["max_tokens"],
        timeout=900,
        retries=0,
    ),
    prompt=PromptConfig(system_message=job["message"]),
    database=DatabaseConfig(),
    evaluator=EvaluatorConfig(timeout=300, cascade_evaluation=False, parallel_evaluations=1),
)
evaluator = Path(__file__).with_name("open_evolve_evaluator.py")
asyncio.run(OpenEvolve(str(folder / "initial.py"), str(evaluator), config, output_dir=str(folder / "output")).run())
