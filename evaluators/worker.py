"""A worker process: takes jobs as JSON lines on standard input, evaluates them, answers on standard output.

Started by `evaluators.workers`. It ends when its standard input does, so it never outlives the run.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from dataclasses import asdict
from typing import Any

from evaluators.evaluate import Allowance, evaluate
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import InfrastructureError
from problems.registry import load_problem


def main() -> None:
    """Read the set-up line, say that we are ready, then answer one line per job."""
    setup = json.loads(sys.stdin.readline())
    problem = load_problem(setup["problem"])
    allowance = Allowance(**setup["allowance"])
    instances_of = functools.cache(problem.split)
    with Sandbox(Limits(), min_tier=setup["min_tier"]) as sandbox:
        _say({"tier": sandbox.tier})
        for line in sys.stdin:
            job = json.loads(line)
            instances = instances_of(job["split"])
            try:
                _say(asdict(evaluate(problem, job["source"], instances, sandbox, allowance)))
            except InfrastructureError as error:
                _say({"infrastructure_error": str(error)})


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the run was killed: nobody is left to tell
        os._exit(0)
