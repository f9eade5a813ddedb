import ast
import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from discovery.proposers import genetic
from discovery.proposers.base import Answer, Parent, Request
from discovery.proposers.expressions import Node, parse, positions, render, tidy, transform_constants
from discovery.proposers.genetic import Genetic
from discovery.proposers.variation import MAX_DEPTH, MAX_SIZE, Behaviour, ranking
from problems.base import Argument, Array, Entry, Instance, check_permutation
from problems.smtt.exact import solve
from problems.smtt.instances import generate
from problems.smtt.problem import Smtt, SmttDispatch, total_tardiness
from problems.smtt.skeleton import SKELETON
from tests.discovery.free import Free
from tests.problems.counter import Counter

ENTRY = SmttDispatch.entry
BASELINES = Path(__file__).parents[3] / "problems" / "smtt" / "baselines"


def baseline(name: str, folder: str = "dispatch") -> Parent:
    """A baseline as a parent."""
    return Parent((BASELINES / folder / f"{name}.py").read_text(), 1.0, name)


def rule(expression: str) -> Parent:
    """A dispatching rule as a parent."""
    return Parent(f"import numpy as np\n\ndef priority(p, d, t):\n    return {expression}\n", 1.0, "rule")


MDD, MDDC, COVERT = baseline("mdd"), baseline("mddc"), baseline("covert")
UNREADABLE = rule("np.sort(p)")


def propose(proposer: Genetic, operator: str, *parents: Parent, number: int = 0, seed: int = 1) -> Answer:
    """The answer to one request."""
    return asyncio.run(proposer.propose(Request(number, seed, operator, parents, ""), Free()))


def read(source: str) -> Node:
    """The expression in a dispatching rule."""
    tree = parse(source, "priority", ENTRY.arguments)
    assert tree is not None
    return tree


def run(source: str, function: str, *arguments: object) -> Array:
    """What a heuristic answers."""
    namespace: dict[str, object] = {}
    exec(source, namespace)
    entry = namespace[function]
    assert callable(entry)
    answer: Array = entry(*arguments)
    return answer


def cost(source: str, p: Array, d: Array) -> float:
    """Total tardiness of the schedule that a dispatching rule makes."""
    namespace: dict[str, object] = {}
    exec(source, namespace)
    priority = namespace["priority"]
    assert callable(priority)
    rest = np.lexsort((p, d))
    order: list[int] = []
    t = 0.0
    while len(rest):
        k = int(np.argmin(priority(p[rest], d[rest], t)))
        order.append(int(rest[k]))
        t += float(p[rest[k]])
        rest = np.delete(rest, k)
    return total_tardiness(p, d, np.array(order))


REQUESTS = [
    ("create", ()),
    ("mutate", (MDD,)),
    ("mutate", (MDDC,)),
    ("crossover", (MDDC, MDD)),
    ("tune", (MDD,)),
    ("tune", (MDDC,)),
]


@pytest.mark.parametrize(("operator", "parents"), REQUESTS)
def test_every_answer_is_a_heuristic_within_the_language(operator: str, parents: tuple[Parent, ...]) -> None:
    """What is proposed runs, gives one finite score per job, can be a parent again, and is fit to be read."""
    proposer = Genetic(ENTRY)
    p, d = np.array([3.0, 50.0, 7.0, 99.0]), np.array([0.0, 40.0, 40.0, 300.0])
    for number in range(100):
        answer = propose(proposer, operator, *parents, number=number)
        assert answer.source == answer.text
        for t in (0.0, 60.0):
            scores = run(answer.text, "priority", p.copy(), d.copy(), t)
            assert scores.shape == (4,)
            assert np.isfinite(scores).all()
        tree = read(answer.text)
        assert tree.size <= MAX_SIZE
        assert tree.depth <= MAX_DEPTH
        assert max(map(len, answer.text.splitlines())) < 100


@pytest.mark.parametrize(("operator", "parents"), REQUESTS)
def test_the_answer_depends_on_the_request_alone(operator: str, parents: tuple[Parent, ...]) -> None:
    """The same request gives the same answer, whatever was asked before; another number or seed another."""
    fresh, used = Genetic(ENTRY), Genetic(ENTRY)
    for number in range(5):
        propose(used, "mutate", MDDC, number=number)
    assert propose(fresh, operator, *parents, number=7) == propose(used, operator, *parents, number=7)
    assert len({propose(used, operator, *parents, number=number).text for number in range(20)}) > 10
    assert len({propose(used, operator, *parents, seed=seed).text for seed in range(20)}) > 10


def test_the_answer_does_not_pass_for_a_models() -> None:
    """Model and docstring say what wrote it, and by which operator."""
    answer = propose(Genetic(ENTRY), "mutate", MDD)
    docstring = ast.get_docstring(ast.parse(answer.text)) or ""
    assert answer.model == "genetic"
    assert "typed genetic programming, not an LLM" in docstring
    assert "Operator: mutate." in docstring
    assert not Genetic.prompted


def test_variation_makes_a_difference() -> None:
    """Of a hundred mutants of MDD at least ninety pick another job somewhere; none is the parent again."""
    proposer = Genetic(ENTRY)
    behaviour = Behaviour(ENTRY.arguments)
    parent = tidy(read(MDD.source))
    children = [read(propose(proposer, "mutate", MDD, number=number).text) for number in range(100)]
    assert parent not in children
    assert sum(behaviour.of(child) != behaviour.of(parent) for child in children) >= 90


def test_tuning_changes_constants_only() -> None:
    """With all its constants set to 1, a tuned rule is its parent; MDD, which has none, gets one."""
    proposer = Genetic(ENTRY)
    for parent in (MDD, rule("np.maximum(t + 1.5 * p, d) + 0.25 * p * d / (1 + d.max())")):
        plain = tidy(transform_constants(read(parent.source), lambda value: 1.0))
        for number in range(50):
            child = read(propose(proposer, "tune", parent, number=number).text)
            assert tidy(transform_constants(child, lambda value: 1.0)) == plain
    tuned = read(propose(proposer, "tune", MDD).text)
    assert [node.op for _, node, _ in positions(tuned)].count("constant") == 1


def test_crossover_draws_on_both_parents() -> None:
    """Children take parts from the second parent, and some keep parts of both that the other lacks."""
    first, second = rule("np.maximum(t + p, d)"), rule("np.log(1 + p) * d.std()")
    proposer = Genetic(ENTRY)
    texts = [propose(proposer, "crossover", first, second, number=number).text for number in range(50)]
    assert sum("maximum" in text and ("log" in text or "std" in text) for text in texts) > 20


def test_parents_outside_the_language_count_as_absent() -> None:
    """Crossover goes on with the parent it can read; with none left, a new expression is grown."""
    proposer = Genetic(ENTRY)
    assert propose(proposer, "crossover", COVERT, MDDC) == propose(proposer, "crossover", MDDC, UNREADABLE)
    for operator in ("mutate", "tune", "crossover"):
        created = propose(proposer, operator, UNREADABLE)
        assert read(created.text) == read(propose(proposer, "create").text)


def test_sizes_stay_within_limits() -> None:
    """Two hundred generations of children do not bloat."""
    proposer = Genetic(ENTRY)
    parent = MDDC
    for number in range(200):
        operator = ("mutate", "crossover")[number % 2]
        parent = replace(parent, source=propose(proposer, operator, parent, MDD, number=number).text)
        assert read(parent.source).size <= MAX_SIZE


def climb(start: Parent, instances: list[Instance], steps: int, seed: int) -> float:
    """Lowest total cost that a plain hill climb over expressions reaches from a rule."""

    def total(source: str) -> float:
        return sum(cost(source, instance["p"], instance["d"]) for instance in instances)

    proposer = Genetic(ENTRY)
    best, lowest = start, total(start.source)
    for number in range(steps):
        child = propose(proposer, ("mutate", "mutate", "tune")[number % 3], best, number=number, seed=seed).text
        if (value := total(child)) < lowest:
            best, lowest = replace(best, source=child), value
    return lowest


def test_a_small_search_improves_on_mdd() -> None:
    """Three short hill climbs close, on average, a fifth of MDD's gap to the optimum: the operators are of use."""
    instances = [generate("search", 25, tf, 0.2, 0) for tf in (0.4, 0.6, 0.8)]
    optimum = sum(float(solve(instance["p"], instance["d"]).value) for instance in instances)
    start = climb(MDD, instances, 0, 0) - optimum
    ends = [climb(MDD, instances, 100, seed) - optimum for seed in range(1, 4)]
    assert sum(ends) / 3 <= 0.8 * start


@pytest.mark.parametrize(
    ("expression", "simpler"),
    [
        ("3 * np.maximum(t + p, d) + d.mean()", "np.maximum(t + p, d)"),
        ("p * d * p.mean() / (1 + d.std())", "p * d"),
        ("t - p", "-p"),
        ("np.log(np.sqrt(p))", "p"),
        ("(p + d) ** 2", "p + d"),
        ("(p - d) ** 2", "(p - d) ** 2"),
        ("(d.mean() - t) * p", "(d.mean() - t) * p"),
    ],
)
def test_what_does_not_change_the_order_is_dropped(expression: str, simpler: str) -> None:
    """Shifts, positive factors and increasing functions of all scores go; a factor of unknown sign stays."""
    assert render(tidy(ranking(tidy(read(rule(expression).source))))) == [f"return {simpler}"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (replace(ENTRY, driver="interactive", returns="the number of a job"), "interactive"),
        (replace(ENTRY, driver="interactive", returns="a permutation by score"), "skeleton"),
        (replace(Counter.entry, arguments=Counter.entry.arguments[1:]), "no vector argument"),
        (Smtt.entry, "skeleton"),
        (Entry("f", (Argument("t", "", "scalar"),), "scores", "once"), "no vector argument"),
    ],
)
def test_what_it_cannot_write_is_refused(entry: Entry, words: str) -> None:
    """Entry functions that no expression can fill are refused at once, with the reason and the remedy."""
    with pytest.raises(ValueError, match=words) as refusal:
        Genetic(entry)
    assert "LLM proposer" in str(refusal.value)


def test_an_unknown_operator_is_refused() -> None:
    """The error names the known ones."""
    with pytest.raises(ValueError, match="'reflect' is not one of create, mutate, crossover, tune"):
        propose(Genetic(ENTRY), "reflect", MDD)


def test_arguments_of_any_sign_suffice() -> None:
    """A problem that promises no signs still gets sound expressions: what must be positive is made so."""
    entry = Entry("score", (Argument("a", ""), Argument("b", "")), "scores", "once")
    proposer = Genetic(entry)
    rng = np.random.default_rng(0)
    for number in range(100):
        scores = run(propose(proposer, "create", number=number).text, "score", *rng.normal(0, 10, (2, 5)))
        assert np.isfinite(scores).all()


# --- with records


@pytest.mark.parametrize("operator", ["create", "mutate", "crossover", "tune"])
def test_records_are_scored_by_expressions_over_their_fields(operator: str) -> None:
    """Files with the entry's own signature, finite scores for every customer, readable as parents, fit to be read."""
    proposer = Genetic(Counter.entry)
    fcfs = Parent((Counter.baselines / "fcfs.py").read_text(), 1.0, "fcfs")  # type: ignore[operator]
    shortest = Parent((Counter.baselines / "shortest.py").read_text(), 1.0, "shortest")  # type: ignore[operator]
    customers = SimpleNamespace(service=np.array([3.0, 50.0, 7.0]), waited=np.array([0.0, 40.0, 9.0]))
    used = set()
    for number in range(100):
        text = propose(proposer, operator, fcfs, shortest, number=number).text
        assert "def priority(customers, state) -> np.ndarray:\n" in text
        assert '"""Score what `customers` holds; the lowest goes next."""' in text
        assert max(map(len, text.splitlines())) < 100
        for now, served in ((0.0, 0.0), (60.0, 2.0)):
            scores = run(text, "priority", customers, SimpleNamespace(now=now, served=served))
            assert scores.shape == (3,)
            assert np.isfinite(scores).all()
        tree = parse(text, "priority", Counter.entry.arguments)
        assert tree is not None
        used |= {node.name for _, node, _ in positions(tree) if node.name}
    every = {"customers.service", "customers.waited", "state.now", "state.served"}
    assert used == ({"customers.waited"} if operator == "tune" else every)


def test_behaviour_tells_expressions_over_records_apart() -> None:
    """Serving the shortest and serving the first are two behaviours; what only looks different is one."""
    arguments = Counter.entry.arguments
    behaviour = Behaviour(arguments)

    def of(expression: str) -> bytes:
        source = f"def priority(customers, state):\n    return {expression}\n"
        tree = parse(source, "priority", arguments)
        assert tree is not None
        return behaviour.of(tree)

    assert of("customers.service") != of("-customers.waited")
    assert of("customers.service") == of("2 * customers.service + state.now")


# --- with a skeleton


def parameters(source: str) -> dict[str, int]:
    """The skeleton's parameters in a file."""
    return {name: value for name, value in genetic._constants(source).items() if name in SKELETON.parameters}


def test_a_skeleton_is_filled() -> None:
    """Files made from the SMTT skeleton return permutations; parameters take allowed values, all of them."""
    proposer = Genetic(Smtt.entry, SKELETON)
    instance = generate("skeleton", 20, 0.6, 0.2, 0)
    seen = set()
    for number in range(40):
        text = propose(proposer, "create", number=number).text
        assert all(value in SKELETON.parameters[name] for name, value in parameters(text).items())
        seen |= set(parameters(text).items())
        check_permutation(run(text, "schedule", instance["p"].astype(float), instance["d"].astype(float)), 20)
    assert seen == {(name, value) for name, values in SKELETON.parameters.items() for value in values}


def test_children_inherit_and_shift_parameters() -> None:
    """A mutant has its parent's parameters, or one of them moved to a neighbouring value; both happen."""
    proposer = Genetic(Smtt.entry, SKELETON)
    parent = Parent(propose(proposer, "create").text, 1.0, "0")
    old = parameters(parent.source)
    shifts = 0
    for number in range(60):
        new = parameters(propose(proposer, "mutate", parent, number=number).text)
        changed = [name for name in new if new[name] != old[name]]
        assert len(changed) <= 1
        for name in changed:
            values = SKELETON.parameters[name]
            assert abs(values.index(new[name]) - values.index(old[name])) == 1
        shifts += len(changed)
    assert 5 < shifts < 40


def test_a_file_not_made_from_the_skeleton_lends_its_expression() -> None:
    """The MDD baseline has the scoring function but no parameters: its children start without improvement."""
    proposer = Genetic(Smtt.entry, SKELETON)
    texts = [propose(proposer, "tune", baseline("mdd", "schedule"), number=number).text for number in range(20)]
    assert {"AUGMENT": 0, "BLOCK": 1, "PASSES": 0} in [parameters(text) for text in texts]
    assert all("np.maximum" in text for text in texts)


def test_the_skeletons_improvement_improves() -> None:
    """On the same priorities, moves never make a schedule worse, and a few sweeps make MDD's better."""
    proposer = Genetic(Smtt.entry, SKELETON)
    program = proposer._read(MDD.source)
    assert program is not None

    def total(**chosen: int) -> list[float]:
        text = proposer._write(replace(program, parameters={**program.parameters, **chosen}), "create")
        return [
            total_tardiness(p, d, run(text, "schedule", p.astype(float), d.astype(float)))
            for index in range(5)
            for instance in [generate("skeleton", 30, 0.6, 0.2, index)]
            for p, d in [(instance["p"], instance["d"])]
        ]

    plain = total()
    for chosen in ({"AUGMENT": 1}, {"PASSES": 1}, {"PASSES": 4, "BLOCK": 3}):
        better = total(**chosen)
        assert all(new <= old for new, old in zip(better, plain, strict=True))
        assert sum(better) < sum(plain)
