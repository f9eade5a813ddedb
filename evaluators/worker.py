"""A worker process: takes jobs as JSON lines on standard input, evaluates them, answers on standard output.

Started by `evaluators.workers`. It ends when its standard input does, so it never outlives the run.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from evaluators.evaluate import Allowance, evaluate
from evaluators.sandbox.limits import Limits
from evaluators.sandbox.supervisor import Sandbox
from evaluators.verdict import InfrastructureError
from problems.base import ProblemError, digest
from problems.registry import load_problem


def main() -> None:
    """Read the set-up line, say that we are ready, then answer one line per job."""
    say = _channel()
    setup = json.loads(sys.stdin.readline())
    problem = load_problem(setup["problem"])
    allowance = Allowance(**setup["allowance"])
    instances_of = functools.cache(problem.split)
    digest_of = functools.cache(lambda split: digest(instances_of(split)))
    with Sandbox(Limits(), min_tier=setup["min_tier"]) as sandbox:
        say({"tier": sandbox.tier})
        for line in sys.stdin:
            job = json.loads(line)
            try:
                instances = instances_of(job["split"])
                evaluation = evaluate(problem, job["source"], instances, sandbox, allowance)
                say({**asdict(evaluation), "instances": digest_of(job["split"])})
            except InfrastructureError as error:
                say({"infrastructure_error": str(error)})
            except ProblemError as error:
                say({"problem_error": str(error)})


def _channel() -> Callable[[dict[str, Any]], None]:
    """The way to the run; what a problem prints goes to standard error, or it would get in between."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    return say


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the run was killed: nobody is left to tell
        os._exit(0)
