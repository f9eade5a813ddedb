"""Runs ShinkaEvolve on the task described in the JSON file named on the command line; runs in its own environment."""

import json
import os
import sys
from pathlib import Path

from shinka.core import EvolutionConfig, ShinkaEvolveRunner
from shinka.database import DatabaseConfig
from shinka.launch import LocalJobConfig

job = json.loads(Path(sys.argv[1]).read_text())
folder = Path(job["folder"])
os.environ["PEERS_JUDGE"] = job["judge"]
(folder / "initial.py").write_text(job["program"])
evolution = EvolutionConfig(
    task_sys_msg=job["message"],
    patch_types=["full", "cross"],  # whole files: what a small model can write; the default odds of these two
    patch_type_probs=[0.75, 0.25],
    num_generations=20 * job["calls"],  # the endpoint ends the run: generations without a call do not count
    llm_models=[f"local/{job['model']}@{job['url']}"],
    llm_dynamic_selection=None,
    llm_kwargs={"temperatures": [job["temperature"]], "max_tokens": job["max_tokens"]},
    meta_rec_interval=None,
    embedding_model=None,  # there is none behind the endpoint
    init_program_path=str(folder / "initial.py"),
    results_dir=str(folder / "output"),
    use_text_feedback=True,
)
jobs = LocalJobConfig(eval_program_path=str(Path(__file__).with_name("shinka_evolve_evaluator.py")))
ShinkaEvolveRunner(
    evo_config=evolution,
    job_config=jobs,
    db_config=DatabaseConfig(db_path=str(folder / "output" / "programs.sqlite")),
    max_evaluation_jobs=1,
    max_proposal_jobs=1,
).run()
