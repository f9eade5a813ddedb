import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.proposers.expressions import (
    NONNEGATIVE,
    ONE,
    OPERATORS,
    POSITIVE,
    WIDTH,
    ZERO,
    Grower,
    Node,
    Sign,
    constant,
    evaluate,
    leaves,
    make,
    parse,
    positions,
    render,
    replace,
    simplify,
    tidy,
    transform_constants,
    variable,
)
from problems.base import Argument, Array, Record

ARGUMENTS = (
    Argument("p", "", sign="positive"),
    Argument("d", "", sign="nonnegative"),
    Argument("w", ""),
    Argument("t", "", "scalar", "nonnegative"),
)
P, D, W, T = map(variable, ARGUMENTS)
BASELINES = Path(__file__).parents[3] / "problems" / "smtt" / "baselines" / "dispatch"


def source(body: str) -> str:
    """A file whose entry function has this body."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"import numpy as np\n\ndef priority(p, d, w, t):\n{lines}"


def read(body: str) -> Node | None:
    """The tree of a function with this body."""
    return parse(source(body), "priority", ARGUMENTS)


def written(root: Node) -> str:
    """The body a tree is written as."""
    return "\n".join(render(root, taken=["p", "d", "w", "t"]))


def values(seed: int) -> dict[str, Array]:
    """Arguments of six jobs."""
    rng = np.random.default_rng(seed)
    return {
        "p": rng.uniform(0.1, 100, 6),
        "d": rng.uniform(0, 300, 6) * rng.integers(0, 2, 6),
        "w": rng.normal(0, 10, 6),
        "t": rng.uniform(0, 300, 1),
    }


def run(body: str, arguments: dict[str, Array]) -> Array:
    """What Python makes of a body."""
    namespace: dict[str, object] = {}
    exec(source(body), namespace)
    function = namespace["priority"]
    assert callable(function)
    result: Array = function(arguments["p"], arguments["d"], arguments["w"], float(arguments["t"][0]))
    return result


def applied(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Any operator on any operands, sound or not, but a reduction on vectors only."""

    def of(op: str) -> st.SearchStrategy[Node]:
        operator = OPERATORS[op]
        operand = children.filter(lambda node: node.vector) if operator.reduces else children
        return st.tuples(*[operand] * len(operator.operands)).map(lambda args: make(op, *args))

    return st.sampled_from(sorted(OPERATORS)).flatmap(of)


LEAVES = st.sampled_from([P, D, W, T]) | st.floats(-1e4, 1e4).map(lambda value: constant(float(f"{value:.3g}")))
TREES = st.recursive(LEAVES, applied, max_leaves=15).filter(lambda node: node.vector)
SEEDS = st.integers(0, 10**9)


def grown(seed: int, need: Sign = Sign.ANY) -> Node:
    """A well-typed random vector."""
    return Grower(ARGUMENTS, random.Random(seed)).tree(5, need)


@given(TREES)
@settings(derandomize=True, deadline=None)
def test_reading_what_was_written_gives_the_same_tree(tree: Node) -> None:
    """Rendering loses nothing: names given to parts, parentheses, signs and numbers all come back."""
    tree = tidy(tree)
    if tree.vector:
        assert read(written(tree)) == tree


@given(SEEDS, SEEDS)
@settings(derandomize=True, deadline=None)
def test_a_tree_is_worth_what_its_code_computes(seed: int, data: int) -> None:
    """`evaluate` and the written code agree."""
    tree = transform_constants(grown(seed), lambda value: float(f"{value:.3g}"))
    arguments = values(data)
    expected = np.broadcast_to(evaluate(tree, arguments), 6)
    np.testing.assert_allclose(run(written(tree), arguments), expected, rtol=1e-9)


@given(SEEDS, SEEDS, st.sampled_from(Sign))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_grown_trees_keep_their_sign_and_stay_finite(seed: int, data: int, need: Sign) -> None:
    """The sorts hold what they promise, so that no grown expression needs a guard against NaN or infinity."""
    tree = grown(seed, need)
    assert tree.vector
    assert tree.sign >= need
    result = evaluate(tree, values(data))
    assert np.isfinite(result).all()
    if tree.sign >= NONNEGATIVE:
        assert (result >= 0).all()
    if tree.sign is POSITIVE:
        assert (result > 0).all()


@given(SEEDS, SEEDS)
@settings(derandomize=True, deadline=None, max_examples=300)
def test_simplifying_keeps_the_value_and_the_sort(seed: int, data: int) -> None:
    """A simplified tree is no larger, means the same, and is known at least as well."""
    tree = grown(seed)
    simple = simplify(tree)
    assert simple.size <= tree.size
    assert simple.sign >= tree.sign
    arguments = values(data)
    expected = np.broadcast_to(evaluate(tree, arguments), 6)
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(np.broadcast_to(evaluate(simple, arguments), 6), expected, rtol=1e-6, atol=1e-6 * scale)


@given(SEEDS, SEEDS, SEEDS)
@settings(derandomize=True, deadline=None)
def test_what_has_the_needed_sort_can_take_a_place(seed: int, other: int, data: int) -> None:
    """Replacing a part by anything of the sort its position asks for keeps the whole well-typed."""
    rng = random.Random(other)
    tree = grown(seed)
    path, node, need = rng.choice(list(positions(tree)))
    new = replace(tree, path, Grower(ARGUMENTS, rng).tree(3, need, vector=node.vector))
    assert new.vector
    for part in (part for _, part, _ in positions(new) if part.args):
        assert all(arg.sign >= least for arg, least in zip(part.args, OPERATORS[part.op].needs, strict=True))
    assert np.isfinite(evaluate(new, values(data))).all()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("p + 0", "p"),
        ("1 * p", "p"),
        ("d - d + p", "p"),
        ("p * d / p", "d"),
        ("-(-p)", "p"),
        ("-(d - p)", "p - d"),
        ("2 * p + 3 * p", "5 * p"),
        ("t + (p - t)", "p"),
        ("p * 2 * 3", "6 * p"),
        ("p * p", "p ** 2"),
        ("np.abs(p)", "p"),
        ("np.sqrt(w ** 2)", "np.abs(w)"),
        ("np.maximum(p, p)", "p"),
        ("np.maximum(d, 0)", "d"),
        ("np.maximum(np.maximum(w, 1), 2)", "np.maximum(w, 2)"),
        ("np.where(p > d, p, d)", "np.maximum(p, d)"),
        ("np.where(2 > 1, p, d)", "p"),
        ("p / max(t + p.max(), 1e-100)", "p / (t + p.max())"),
        ("w / w", "w / w"),
    ],
)
def test_simplification(before: str, after: str) -> None:
    """Each rule by an example; w / w stays, since w may be zero."""
    tree = read(f"return {before}")
    assert tree is not None
    assert written(tidy(tree)) == f"return {after}"


@pytest.mark.parametrize(
    ("spelling", "plain"),
    [
        ("np.mean(p) + d", "p.mean() + d"),
        ("max(p) + min(d) * p", "p.max() + d.min() * p"),
        ("np.amax(p) * d", "p.max() * d"),
        ("len(p) * d", "p.size * d"),
        ("p.shape[0] * d", "p.size * d"),
        ("np.clip(w, 0, None)", "np.maximum(w, 0)"),
        ("np.clip(w, 1, t)", "np.minimum(np.maximum(w, 1), t)"),
        ("w.clip(1, t)", "np.minimum(np.maximum(w, 1), t)"),
        ("np.power(w, 2)", "w ** 2"),
        ("np.square(w)", "w ** 2"),
        ("p ** 0.5", "np.sqrt(p)"),
        ("max(t, 1.5) * p", "np.maximum(t, 1.5) * p"),
        ("abs(w)", "np.abs(w)"),
        ("p.astype(float) + np.asarray(d, dtype=float)", "p + d"),
        ("np.exp(-d / t)", "np.exp(-(d / t))"),
        ("np.exp(-0.5 * d)", "np.exp(-(0.5 * d))"),
        ("np.exp(p - d)", "np.exp(-(d - p))"),
        ("np.where(p < d, p, w)", "np.where(d > p, p, w)"),
        ("np.where(p >= d, p, w)", "np.where(d > p, w, p)"),
        ("p if t > 5 else d", "np.where(t > 5, p, d)"),
    ],
)
def test_other_spellings_are_read(spelling: str, plain: str) -> None:
    """What people and models write for the same thing gives the same tree."""
    assert read(f"return {spelling}") == read(f"return {plain}") is not None


def test_assignments_and_module_constants_are_put_in_place() -> None:
    """A body of assignments is read, whatever the arguments are called; an array's name may be reused."""
    text = '''
K = 2.5

def priority(time, due, weight, now):
    """Words."""
    slack: np.ndarray = due - time - now
    slack /= K
    return np.maximum(slack, 0) + weight
'''
    assert parse(text, "priority", ARGUMENTS) == read("return np.maximum((d - p - t) / 2.5, 0) + w")


@pytest.mark.parametrize(
    "body",
    [
        "return t",
        "return 5",
        "p = [1]\nreturn p",
        "for i in p:\n    pass\nreturn p",
        "return np.fft.fft(p)",
        "return p[::-1]",
        "return p @ d",
        "return unknown + p",
        "return t.mean() + p",
        "return max(p, d)",
        "return p if p > d else d",
        "return p * True",
        "return p + 1e999",
        "return p.mean(axis=0) + p",
        "return p ** d",
        "pass",
        "x = p\n" + "x = x + x\n" * 60 + "return x",
        "return " + "(" * 3000 + "p" + ")" * 3000,
        "return p" + " + p" * 5000,
    ],
)
def test_code_outside_the_language_is_refused(body: str) -> None:
    """Loops, unknown names, answers that are no vector, and code built to blow up give None, quickly."""
    assert read(body) is None


@pytest.mark.parametrize("text", ["", "def priority(:", "def other(p): return p", "def priority(p): return p", "\0"])
def test_files_without_the_function_are_refused(text: str) -> None:
    """No syntax, no function, or another number of arguments: None, no exception."""
    assert parse(text, "priority", ARGUMENTS) is None


@pytest.mark.parametrize("name", ["edd", "spt", "mdd", "mddc", "atc", "panneerselvam"])
def test_baselines_are_read(name: str) -> None:
    """The baselines within the language can be parents: they are read and mean what their files compute."""
    text = (BASELINES / f"{name}.py").read_text()
    arguments = tuple(argument for argument in ARGUMENTS if argument.name != "w")
    tree = parse(text, "priority", arguments)
    assert tree is not None
    namespace: dict[str, object] = {}
    exec(text, namespace)
    function = namespace["priority"]
    assert callable(function)
    data = values(1)
    np.testing.assert_allclose(evaluate(tidy(tree), data), function(data["p"], data["d"], data["t"][0]))


def test_shared_and_long_parts_get_names() -> None:
    """What is used twice is computed once, under a name that no argument has; lines stay narrow."""
    body = "return (p - t) / (1 + d.mean()) + np.abs(p - t) * d.mean()"
    tree = read(body)
    assert tree is not None
    assert render(tree, taken=["p", "margin"]) == [
        "margin_2 = p - t",
        "d_mean = d.mean()",
        "return margin_2 / (1 + d_mean) + np.abs(margin_2) * d_mean",
    ]
    for seed in range(200):
        big = make("add", grown(seed), make("mul", grown(seed + 1), grown(seed + 2)))
        assert all(len(line) <= WIDTH + 20 for line in render(big))


def test_numbers_are_written_briefly() -> None:
    """Three significant digits, no exponent where a person would write none."""
    texts = {1234.0: "1230", 0.123456: "0.123", 2.0: "2", 1e-5: "1e-05", -0.5: "-0.5", 3e7: "3e+07"}
    for value, text in texts.items():
        assert written(make("mul", constant(value), P)) == f"return {text} * p"


def test_signs() -> None:
    """The sign rules that keep denominators positive."""
    assert make("add", P, D).sign is POSITIVE
    assert make("add", D, T).sign is NONNEGATIVE
    assert make("sub", P, ZERO).sign is Sign.ANY
    assert make("maximum", W, ONE).sign is POSITIVE
    assert make("minimum", P, D).sign is NONNEGATIVE
    assert make("decay", D).sign is NONNEGATIVE
    assert make("mean", W).sign is Sign.ANY
    assert make("size", W).sign is POSITIVE


# --- records

REQUESTS = Record("requests", "", (Argument("prompt", "", sign="positive"), Argument("size", "", sign="nonnegative")))
BATCH = Record("batch", "", (Argument("left", ""), Argument("tokens", "", "scalar", "nonnegative")))
RECORDS = (REQUESTS, BATCH, Argument("t", "", "scalar", "nonnegative"))


def read_records(body: str, signature: str = "requests, batch, t") -> Node | None:
    """The tree of a function of records with this body."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return parse(f"import numpy as np\n\ndef f({signature}):\n{lines}", "f", RECORDS)


def test_leaves_are_the_vectors_that_go_together_and_all_scalars() -> None:
    """Of several holders of vectors, plain arguments come first, then the first record; scalars always count."""
    assert [leaf.name for leaf in leaves(ARGUMENTS)] == ["p", "d", "w", "t"]
    assert [leaf.name for leaf in leaves(RECORDS)] == ["requests.prompt", "requests.size", "batch.tokens", "t"]
    assert [leaf.name for leaf in leaves((BATCH, REQUESTS))] == ["batch.left", "batch.tokens"]
    assert [leaf.name for leaf in leaves((BATCH, Argument("p", "")))] == ["batch.tokens", "p"]
    assert [leaf.sign for leaf in leaves(RECORDS)] == ["positive", "nonnegative", "nonnegative", "nonnegative"]


PROMPT, SIZE, TOKENS, _ = map(variable, leaves(RECORDS))


@pytest.mark.parametrize(
    ("body", "tree"),
    [
        ("return requests.prompt", PROMPT),
        ("return requests.size", SIZE),
        ("return requests.prompt * requests.prompt.size", make("mul", PROMPT, make("size", PROMPT))),
        ("return requests.prompt / len(requests.size)", make("div", PROMPT, make("size", SIZE))),
        ("x = requests.prompt\nx += batch.tokens\nreturn x", make("add", PROMPT, TOKENS)),
        ("return np.maximum(requests.size.mean(), requests.prompt)", make("maximum", make("mean", SIZE), PROMPT)),
        ("return requests.prompt.clip(batch.tokens, None)", make("maximum", PROMPT, TOKENS)),
        ("p, s = requests.prompt, requests.size\np, s = s, p\nreturn p - s", make("sub", SIZE, PROMPT)),
        ("p, s = requests.prompt\nreturn p", None),
        ("p, s = requests.prompt, 1, 2\nreturn p", None),
        ("requests.prompt = requests.size\nreturn requests.prompt", None),
        ("return batch.left", None),
        ("return requests.prompts", None),
        ("return requests", None),
        ("return batch.tokens", None),
        ("requests = requests.prompt\nreturn requests.size", None),
    ],
)
def test_fields_are_read(body: str, tree: Node | None) -> None:
    """Attributes of records are leaves, also where a field is called like an attribute of arrays; no other is."""
    assert read_records(body) == tree


def test_parameters_may_have_other_names() -> None:
    """Fields are found by the place of their record among the parameters."""
    assert read_records("return r.prompt - b.tokens", "r, b, now") == make("sub", PROMPT, TOKENS)


def test_what_is_written_of_fields_is_short_and_read_back() -> None:
    """Parts are named after fields, not after records; what is too long is broken up down to the fields."""
    total = make("add", PROMPT, make("add", make("mean", SIZE), make("square", make("mean", SIZE))))
    assert render(total, ["requests", "batch", "t"]) == [
        "size_mean = requests.size.mean()",
        "return requests.prompt + (size_mean + size_mean ** 2)",
    ]
    for name in ("long_name", "a_name_so_long_that_nothing_helps"):
        long = Record("requests", "", tuple(Argument(f"{name}_{i}", "") for i in range(4)))
        tree = make("where", *map(variable, leaves([long])))
        body = render(tree, ["requests"])
        assert max(map(len, body)) <= max(WIDTH, 5 * len(name)) + len("return ")
        text = "".join(f"    {line}\n" for line in body)
        assert parse(f"def f(requests):\n{text}", "f", [long]) == tree


@given(SEEDS)
@settings(derandomize=True, deadline=None)
def test_trees_over_records_are_written_and_read(seed: int) -> None:
    """Rendering loses nothing here either."""
    tree = tidy(Grower(RECORDS, random.Random(seed)).tree(5))
    if tree.vector:
        assert read_records("\n".join(render(tree, ["requests", "batch", "t"]))) == tree
