"""An evaluator as it must not be: it runs candidates in the process that scores them and believes what it reads.

Most of it is what real evaluators do: secrets in the environment, `exec`, one process for all, pickled results,
a scorer without a check. It takes one JSON line (two sources, the instances) and prints one line for each.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import time

import numpy as np

ANSWERS = 4


def cost(p, decision):
    """The sum of completion times, if `decision` is an order of the jobs."""
    if len(decision) != len(p):
        raise ValueError("wrong length")
    now = total = 0.0
    for job in decision:
        now += p[job]
        total += now
    return float(total)


def evaluate(source, instances):
    """Detail, costs, decisions and CPU seconds of one candidate."""
    best_known = "the reference answer"
    start = time.process_time()
    try:
        namespace = {"__name__": "heuristic"}
        exec(source, namespace)
        decisions = [namespace["order"](p) for p in instances]
        costs = [cost(p, decision) for p, decision in zip(instances, decisions, strict=True)]
    except Exception as error:  # noqa: BLE001  as careless as it gets
        return {"detail": f"{type(error).__name__}: {error}", "costs": [], "best": best_known, "cpu": 0.0}
    cpu = time.process_time() - start
    return {"detail": "", "costs": costs, "decisions": decisions, "cpu": cpu, "best": best_known}


def work(job):
    """Evaluate both candidates; the results go through a pipe."""
    for source in job["sources"]:
        instances = [np.array(times, dtype=float) for times in job["instances"]]
        os.write(ANSWERS, pickle.dumps(evaluate(source, instances)))


def main():
    """Fork the worker and print what it sends."""
    job = json.loads(sys.stdin.readline())
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(read)
        if write != ANSWERS:
            os.dup2(write, ANSWERS)
            os.close(write)
        work(job)
        sys.exit(0)  # not os._exit: what a candidate has registered runs
    os.close(write)
    with os.fdopen(read, "rb") as results:
        for _ in job["sources"]:
            result = pickle.load(results)
            result.pop("decisions", None)
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
