"""What ShinkaEvolve starts for every program: it asks the benchmark's judge.

It writes the files that are asked of it itself: the package's helper for that imports every vendor's library, which
takes seconds of CPU for each program.
"""

import argparse
import json
import os
import urllib.request
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--program_path", type=Path)
parser.add_argument("--results_dir", type=Path)
asked = parser.parse_args()
data = json.dumps({"source": asked.program_path.read_text()}).encode()
with urllib.request.urlopen(os.environ["PEERS_JUDGE"], data, timeout=300) as reply:
    found = json.loads(reply.read())
failure = None if found["gap"] is not None else f"{found['verdict']}: {found['detail']}"
metrics = {
    "combined_score": found["score"],
    "public": {} if failure else {"gap_percent": found["gap"]},
    "private": {},
    "text_feedback": failure or "",
}
asked.results_dir.mkdir(parents=True, exist_ok=True)
(asked.results_dir / "metrics.json").write_text(json.dumps(metrics))
(asked.results_dir / "correct.json").write_text(json.dumps({"correct": failure is None, "error": failure}))
