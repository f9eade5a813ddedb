#!/bin/sh
# Build the wheel, install it in a fresh environment and run the demo config from an empty folder.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work/dist" .
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$work"/dist/*.whl
cd "$work"
"$work/venv/bin/discover" run demo --set budget.candidates=40 --set run.name=wheel --json >"$work/leaderboard.json"
"$work/venv/bin/discover" verify wheel
"$work/venv/bin/python" - "$work/leaderboard.json" <<'EOF'
import json, sys
rows = json.load(open(sys.argv[1]))
assert any(row["origin"] != "baseline" and "test" in row for row in rows), "nothing was discovered"
assert all(set(row["test"]["bound_kinds"]) == {"optimal"} for row in rows if "test" in row), "bounds are not certified"
print("the installed wheel ran the demo config:", len(rows), "rows on its leaderboard")
EOF
