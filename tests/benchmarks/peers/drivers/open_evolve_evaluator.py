"""What OpenEvolve calls for every program: it asks the benchmark's judge."""

import json
import os
import urllib.request
from pathlib import Path

from openevolve.evaluation_result import EvaluationResult


def evaluate(program_path: str) -> EvaluationResult:
    """The program's score, and why it has none."""
    data = json.dumps({"source": Path(program_path).read_text()}).encode()
    with urllib.request.urlopen(os.environ["PEERS_JUDGE"], data, timeout=300) as reply:
        found = json.loads(reply.read())
    metrics = {"combined_score": found["score"]}
    if found["gap"] is None:
        return EvaluationResult(metrics, {"failure": f"{found['verdict']}: {found['detail']}"})
    return EvaluationResult({**metrics, "gap_percent": found["gap"]})
