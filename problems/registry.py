"""Finding a problem by name, or in a user's own file as `path/to/file.py:Class`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import cast

from problems.base import Problem
from problems.checked import Checked

BUILT_IN = {
    "smtt_dispatch": "problems.smtt.problem:SmttDispatch",
    "smtt": "problems.smtt.problem:Smtt",
    "batch_order": "problems.batch_order.problem:BatchOrder",
    "batch_order_makespan": "problems.batch_order.problem:BatchOrderMakespan",
    "batch_order_late": "problems.batch_order.problem:BatchOrderLate",
    "prefix_group": "problems.prefix_group.problem:PrefixGroup",
    "kv_admission": "problems.kv_admission.problem:KvAdmission",
    "serving": "problems.serving.problem:Serving",
    "serving_slo": "problems.serving.problem:ServingSlo",
}


class UnknownProblem(ValueError):
    """No such problem; the message names the nearest known one, or what is wrong with the file."""


def load_problem(spec: str) -> Problem:
    """The problem called `spec`, or class `C` of a user's file for `path/to/file.py:C`.

    Raises:
        UnknownProblem: the name, the file or the class does not exist, or the class is no `Problem`.
    """
    if spec in BUILT_IN:
        module_name, class_name = BUILT_IN[spec].split(":")
        return _instantiate(getattr(importlib.import_module(module_name), class_name), spec)
    if ".py:" in spec:
        return _load_file(spec)
    if spec.endswith(".py"):
        raise UnknownProblem(f"problem '{spec}': say which class of the file is the problem, as {spec}:Class")
    nearest = difflib.get_close_matches(spec, BUILT_IN, n=1, cutoff=0.4)
    hint = f"did you mean '{nearest[0]}'?" if nearest else f"known: {', '.join(BUILT_IN)}"
    raise UnknownProblem(f"unknown problem '{spec}'; {hint} (your own: path/to/file.py:Class)")


def absolute_spec(spec: str) -> str:
    """`spec` with a user's file made absolute, so that it means the same from every folder."""
    if ".py:" not in spec:
        return spec
    path, _, class_name = spec.rpartition(":")
    return f"{Path(path).resolve()}:{class_name}"


def _load_file(spec: str) -> Problem:
    path_text, _, class_name = spec.rpartition(":")
    path = Path(path_text)
    if not path.is_file():
        raise UnknownProblem(f"problem '{spec}': there is no file '{path}'")
    module_spec = importlib.util.spec_from_file_location(f"user_problem_{path.stem}", path)
    assert module_spec is not None and module_spec.loader is not None  # a .py file always has a loader
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_spec.name] = module  # dataclasses look their module up there
    try:
        module_spec.loader.exec_module(module)
    except Exception as error:  # a user's file may raise anything
        raise UnknownProblem(f"problem '{spec}': importing the file failed: {type(error).__name__}: {error}") from error
    if not hasattr(module, class_name):
        raise UnknownProblem(f"problem '{spec}': the file has no class '{class_name}'")
    return _instantiate(getattr(module, class_name), spec)


def _instantiate(problem_class: object, spec: str) -> Problem:
    if not (inspect.isclass(problem_class) and issubclass(problem_class, Problem)):
        raise UnknownProblem(f"problem '{spec}': the class must derive from problems.base.Problem")
    if missing := sorted(problem_class.__abstractmethods__):
        raise UnknownProblem(f"problem '{spec}': the class lacks {', '.join(missing)}")
    if missing := [name for name in ("name", "entry", "brief") if not hasattr(problem_class, name)]:
        raise UnknownProblem(f"problem '{spec}': the class lacks the attribute {', '.join(missing)}")
    own = problem_class.decide is not Problem.decide or problem_class.decide_with is not Problem.decide_with
    if problem_class.entry.driver == "interactive" and not own:
        raise UnknownProblem(f"problem '{spec}': its entry is interactive, so the class must define decide()")
    try:
        return cast(Problem, Checked(problem_class()))
    except TypeError as error:
        raise UnknownProblem(f"problem '{spec}': the class cannot be made without arguments: {error}") from error
