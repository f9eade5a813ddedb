"""The command show: everything the archive knows about one heuristic."""

from __future__ import annotations

import json
from typing import Any

from rich.markup import escape
from rich.rule import Rule
from rich.syntax import Syntax

from discovery.archive import Archive
from discovery.engine_table import engine_table
from discovery.folders import is_number, source_of, split_name
from discovery.leaderboard import SPLITS
from discovery.output import print_json
from discovery.scoring import score
from discovery.tables import console, score_table


def show(name: str, *, as_json: bool) -> None:
    """Print source, scores, lineage, prompt and answer of a candidate, or source and scores of a baseline."""
    folder, label = split_name(name)
    with Archive(folder, "read") as archive:
        record = describe(archive, label)
        if as_json:
            print_json(record)
        else:
            _print(archive, label, record)


def describe(archive: Archive, label: str) -> dict[str, Any]:
    """What is known about one heuristic of a run, as one record."""
    baseline = label in archive.baselines()
    rows = (
        []
        if baseline or not is_number(label)
        else archive.query(
            "SELECT request.number, island, operator, parents, prompt, model, text AS answer, input_tokens,"
            " output_tokens, seconds, cost, verdict, detail, score, signature"
            " FROM request LEFT JOIN answer USING (number) LEFT JOIN outcome USING (number) WHERE number = ?",
            int(label),
        )
    )
    facts = rows[0] if rows else {}
    without_code = bool(rows) and (facts["answer"] is None or facts["verdict"] == "no_code")
    record: dict[str, Any] = {
        "run": archive.folder.name,
        "problem": archive.meta()["problem"],
        "heuristic": label,
        "origin": "baseline" if baseline else f"{facts['model']}: {facts['operator']}" if rows else "",
        "source": None if without_code else source_of(archive, label),
        **facts,
    }
    if rows:
        record["parents"] = json.loads(facts["parents"])
        record["lineage"] = lineage(archive, int(label))
    replay = archive.engine_replay()
    if replay is not None and (found := replay.score(label)) is not None:
        record["engine"] = {**found.as_json(), "name": replay.engine, "conditions": replay.conditions}
    for split in SPLITS:
        if (evaluation := archive.evaluation(label, split)) is not None:
            record[split] = score(evaluation, archive.instances(split)).as_json()
    return record


def lineage(archive: Archive, number: int) -> list[str]:
    """All ancestors of a candidate, nearest first: numbers of candidates and names of baselines."""
    ancestors: dict[str, None] = {}
    frontier = [str(number)]
    while frontier:
        label = frontier.pop(0)
        rows = archive.query("SELECT parents FROM request WHERE number = ?", int(label)) if is_number(label) else []
        for parent in json.loads(rows[0]["parents"]) if rows else []:
            if parent not in ancestors:
                ancestors[parent] = None
                frontier.append(parent)
    return list(ancestors)


def _print(archive: Archive, label: str, record: dict[str, Any]) -> None:
    out = console()
    out.print(f"[bold]{record['run']}/{label}[/bold] · {record['problem']} · {escape(record['origin'])}")
    if record.get("verdict"):
        detail = f" ({record['detail']})" if record["detail"] else ""
        out.print(f"verdict: {record['verdict']}{detail}", markup=False)
    if "parents" in record:
        out.print(f"parents: {', '.join(record['parents']) or 'none'} · ancestors: {len(record['lineage'])}")
        if record["lineage"]:
            out.print(f"lineage: {' ← '.join(record['lineage'][:20])}")
    if record["source"] is not None:
        out.print(Rule("source"), Syntax(record["source"].rstrip(), "python", background_color="default"))
    for split in SPLITS:
        if (evaluation := archive.evaluation(label, split)) is not None:
            result = score(evaluation, archive.instances(split))
            out.print(score_table(label, record["problem"], split, result))
    if (replay := archive.engine_replay()) is not None and "engine" in record:
        out.print(engine_table(record["run"], replay))
    for part in ("prompt", "answer"):
        if record.get(part) and record[part] != record["source"]:
            out.print(Rule(part))
            out.print(record[part], markup=False, highlight=False)
