"""A run with every part of the search on, asked of two models: what it does, and that a kill changes nothing."""

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from discovery.archive import Archive
from discovery.search_report import search_report
from tests.discovery.conftest import discover
from tests.discovery.runs import board, history, query, reply, write_config
from tests.discovery.tiny_run import count, start
from tests.endpoint import Reply, completion, endpoint

CANDIDATES = 48
PROPOSER = """
kind = "openai"
base_url = "{url}"
concurrency = 2
backoff = 0.01
lessons = 8
input_price = 1
[[proposer.models]]
model = "small"
[[proposer.models]]
model = "large"
input_price = 20
"""
SEARCH = "cells = 0.5\nlookahead = 4\noperators = {mutate = 1, crossover = 1, simplify = 1, tune = 1, repair = 2}"
LESSONS = "SELECT number, operator, parents, prompt, text FROM request JOIN answer USING (number) WHERE number < 0"
ASKED = "SELECT number, model FROM answer ORDER BY number"


def answer(number: int, request: dict[str, Any]) -> Reply:
    """What the model and the prompt decide: a lesson, a rule, a rule that fails, or no code."""
    prompt = str(request["messages"][0]["content"])
    if "Draw lessons" in prompt:
        return completion(f"- {len(prompt)} signs were shown\n- short jobs first", 300, 10)
    text = reply(f"{request['model']} {prompt}")
    if "a simpler heuristic" in prompt:
        text = re.sub("return .*", f"return p / {len(prompt)}.0 / 0", text)  # so that there is what to repair
    return completion(f"Idea: {len(text)} signs.\n{text}", 100, 20)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with such a run, `r`."""
    folder = tmp_path_factory.mktemp("everything")
    with endpoint(answer) as server:
        config = write_config(folder, PROPOSER.format(url=server.url), candidates=CANDIDATES, search=SEARCH)
        result = discover("run", config, cwd=folder)
    assert result.returncode == 0, result.stderr
    (folder / "output.txt").write_text(result.stdout)
    return folder


def learned(folder: Path, name: str = "r") -> dict[str, Any]:
    """What the search had learnt at its end."""
    with Archive(folder / "runs" / name, "read") as archive:
        return archive.learned()


def test_every_part_takes_part(undisturbed: Path) -> None:
    """All operators; tuning without a call; both models; lessons, ideas, weaknesses and comparisons in prompts."""
    rows = query(
        undisturbed, "SELECT operator, model, prompt FROM request JOIN answer USING (number) WHERE number >= 0"
    )
    operators = {operator for operator, _, _ in rows}
    assert operators >= {"mutate", "crossover", "simplify", "tune", "repair"}
    assert {(model, prompt) for operator, model, prompt in rows if operator == "tune"} == {("tuner", "")}
    assert {model for operator, model, _ in rows if operator != "tune"} == {"small", "large"}
    prompts = "\n".join(prompt for _, _, prompt in rows)
    for told in ("# Lessons from earlier attempts\n- ", "Its idea: ", "Its costliest instance: ", "It fails with "):
        assert told in prompts
    calls = query(undisturbed, "SELECT DISTINCT number FROM call")
    assert len(calls) == sum(operator != "tune" for operator, _, _ in rows) + len(query(undisturbed, LESSONS))


def test_lessons_are_rows_that_build_on_one_another(undisturbed: Path) -> None:
    """Requests −1, −2 … with their answers; each but the first is told the one before."""
    lessons = {row[0]: row for row in query(undisturbed, LESSONS)}
    assert set(lessons) == set(range(-len(lessons), 0)) and len(lessons) >= 4
    for number, (_, operator, parents, prompt, _) in lessons.items():
        assert (operator, parents) == ("reflect", "[]")
        assert ("# The lessons so far" in prompt) == (number < -1)


def test_the_report_counts_what_the_archive_holds(undisturbed: Path) -> None:
    """Candidates, new ones, both kinds of duplicates, failures, tokens and money, by operator and by model."""
    with Archive(undisturbed / "runs" / "r", "read") as archive:
        report = search_report(archive)
    for efforts in (report.operators, report.models):
        assert sum(each.candidates for each in efforts) == CANDIDATES
        for each in efforts:
            assert each.candidates == each.new + each.rewritten + each.alike + each.failed
    verdicts = dict(query(undisturbed, "SELECT verdict, count(*) FROM outcome GROUP BY 1"))
    assert sum(each.new for each in report.operators) == verdicts["ok"]
    assert sum(each.alike for each in report.operators) > 0 and sum(each.failed for each in report.operators) > 0
    small, large = (next(each for each in report.models if each.name == name) for name in ("small", "large"))
    assert large.cost / large.candidates == pytest.approx(20 * small.cost / small.candidates)
    assert report.lessons.candidates == len(query(undisturbed, LESSONS)) and report.lesson.startswith("- ")
    assert sum(each.chance or 0 for each in report.models) == pytest.approx(1)


def test_the_end_of_a_run_shows_it(undisturbed: Path) -> None:
    """Operators, models, cells and the latest lesson stand under the leaderboard; the command shows them again."""
    shown = (undisturbed / "output.txt").read_text()
    again = discover("operators", "r", cwd=undisturbed).stdout
    for title in ("what each operator brought", "what each model brought", "the best of each kind", "lessons drawn: "):
        assert title in shown and title in again
    assert "- short jobs first" in again
    record = json.loads(discover("operators", "r", "--json", cwd=undisturbed).stdout)
    assert {each["name"] for each in record["models"]} == {"small", "large", "tuner"}


@pytest.mark.parametrize("answered", [9, 26])
def test_killed_and_resumed_it_ends_the_same(undisturbed: Path, tmp_path: Path, answered: int) -> None:
    """Prompts, answers, models drawn, lessons, scores and what was learnt are those of the undisturbed run."""
    with endpoint(answer) as server:
        config = write_config(
            tmp_path, PROPOSER.format(url=server.url), name="tiny", candidates=CANDIDATES, search=SEARCH
        )
        process = start(tmp_path, "run", config)
        while process.poll() is None and count(tmp_path, "answer") < answered:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert count(tmp_path, "outcome") < CANDIDATES
        result = discover("resume", "tiny", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
    assert history(tmp_path, "tiny") == history(undisturbed)
    for rows in (LESSONS, ASKED):
        assert query(tmp_path, rows, "tiny") == query(undisturbed, rows)
    assert learned(tmp_path, "tiny") == learned(undisturbed)


def test_it_replays(undisturbed: Path, tmp_path: Path) -> None:
    """Offline, with the bandits and cells at work: the same candidates and leaderboard, and no lesson is asked for."""
    shutil.copytree(undisturbed / "runs", tmp_path / "runs")
    result = discover("replay", "r", "--set", "run.name=again", cwd=tmp_path, http_proxy="http://127.0.0.1:9")
    assert result.returncode == 0, result.stderr
    assert history(tmp_path, "again") == history(undisturbed)
    assert board(tmp_path, "again") == board(undisturbed)
    assert learned(tmp_path, "again")["operators"] == learned(undisturbed)["operators"]


OFF = """
thoughts = false
weakness = false
reflection = false
"""


def test_every_part_can_be_left_out(tmp_path: Path) -> None:
    """With all switches off: no idea, weakness, lesson, tuning or repair, and nothing learnt."""
    with endpoint(answer) as server:
        proposer = PROPOSER.format(url=server.url).replace("lessons = 8", f"lessons = 0{OFF}")
        search = "cells = 0\nbandit = false\nsame_code = false\noperators = {tune = 0, repair = 0}"
        config = write_config(tmp_path, proposer, candidates=24, search=search)
        assert discover("run", config, cwd=tmp_path).returncode == 0
    operators = {row[0] for row in query(tmp_path, "SELECT operator FROM request")}
    assert operators == {"create", "mutate", "crossover", "simplify"}
    prompts = "\n".join(row[0] for row in query(tmp_path, "SELECT prompt FROM request"))
    for told in ("Idea:", "Its idea", "costliest", "why the first is better", "Lessons"):
        assert told not in prompts
    assert learned(tmp_path) == {"cells": []}
    assert not query(tmp_path, "SELECT 1 FROM outcome WHERE detail LIKE 'same code as%'")
