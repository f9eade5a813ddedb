from collections import Counter

from discovery.candidate import Candidate, Draft
from discovery.population import Population, Shape
from discovery.proposers.base import Parent
from discovery.seen import Seen
from evaluators.verdict import Verdict

SEEDS = [Parent("mdd source", 0.6, "mdd"), Parent("edd source", 50.0, "edd"), Parent("spt source", 40.0, "spt")]
SHAPE = {"islands": 4, "island_size": 24, "tournament": 3, "migration_every": 100}
WEIGHTS = {"create": 0.2, "mutate": 0.5, "crossover": 0.3}


def population(**shape: int) -> Population:
    """A population over the three seeds."""
    seen = Seen({"sig-mddc": "mddc"})
    return Population(SEEDS, shape=Shape(**{**SHAPE, **shape}), weights=WEIGHTS, seed=1, seen=seen)


def told(number: int, score: float | None, signature: str, island: int = 0, source: str = "x") -> Candidate:
    """A judged candidate."""
    return Candidate(Draft(number, island, "mutate", ()), source, Verdict.ok, "", score, signature)


def test_equal_histories_ask_equal_drafts() -> None:
    """What is asked depends on (seed, number) and the candidates told, on nothing else."""
    first, second = population(), population()
    for number in range(50):
        assert first.ask(number) == second.ask(number)
        candidate = told(number, 1.0 / (number + 1), f"sig{number}", island=number % 4)
        first.tell(candidate)
        second.tell(candidate)


def test_operators_are_drawn_by_weight_and_get_their_parents() -> None:
    """Over many asks the shares follow the weights; crossover gets two distinct parents, best first."""
    people = population()
    drafts = [people.ask(number) for number in range(2000)]
    shares = Counter(draft.operator for draft in drafts)
    for operator, weight in WEIGHTS.items():
        assert abs(shares[operator] / 2000 - weight) < 0.05
    for draft in drafts:
        assert len(draft.parents) == {"create": 0, "mutate": 1, "crossover": 2}[draft.operator]
        assert [p.score for p in draft.parents] == sorted({p.score for p in draft.parents})


def test_tournaments_prefer_better_parents() -> None:
    """The best of three seeds is chosen most often."""
    people = population(tournament=2)
    chosen = Counter(d.parents[0].label for d in map(people.ask, range(2000)) if d.operator == "mutate")
    assert chosen["mdd"] > chosen["spt"] > chosen["edd"]


def test_behaviour_seen_before_is_a_duplicate_without_a_score() -> None:
    """A candidate that behaves like a baseline or an earlier candidate loses its score and names its twin."""
    people = population()
    assert people.tell(told(0, 0.5, "new")).verdict is Verdict.ok
    again = people.tell(told(1, 0.5, "new"))
    assert (again.verdict, again.score, again.detail) == (Verdict.duplicate, None, "behaves like 0")
    assert people.tell(told(2, 0.5, "sig-mddc")).detail == "behaves like mddc"


def test_only_what_was_known_when_asking_counts_before_the_commit() -> None:
    """`before` hides candidates committed since the draft was asked for: timing cannot decide."""
    people = population()
    people.tell(told(7, 0.5, "new"))
    assert people.seen.duplicate_of("new", before=7) is None
    assert people.seen.duplicate_of("new", before=8) == "7"
    assert people.seen.duplicate_of("sig-mddc", before=0) == "mddc"


def test_islands_keep_their_best_and_share_them_by_migration() -> None:
    """An island holds its best members only; at migration its best also appears on the next island."""
    people = population(islands=2, island_size=2, migration_every=4, tournament=1)
    for number, score in enumerate([0.5, 0.4, 0.3, 0.9]):
        people.tell(told(number, score, f"s{number}", island=0 if number < 3 else 1, source=f"source{number}"))
    mutations = [d for d in map(people.ask, range(4, 400)) if d.operator == "mutate"]
    parents = {island: {d.parents[0].label for d in mutations if d.island == island} for island in (0, 1)}
    assert parents[0] == {"1", "2"}
    assert parents[1] == {"mdd", "2"}


def test_an_island_without_members_is_asked_to_create() -> None:
    """Without any parent the draft falls back to create, whatever the weights say."""
    people = Population([], shape=Shape(**SHAPE), weights={"mutate": 1.0}, seed=1, seen=Seen())
    assert people.ask(0).operator == "create"


def test_where_a_partner_is_missing_the_only_member_is_changed() -> None:
    """A crossover on an island of one becomes a mutation; it invents anew where mutations are off, or none is there."""

    def asked(seeds: list[Parent], **weights: float) -> set[tuple[str, int]]:
        people = Population(seeds, shape=Shape(**SHAPE), weights=weights, seed=1, seen=Seen())
        return {(draft.operator, len(draft.parents)) for draft in map(people.ask, range(40))}

    assert asked(SEEDS[:1], mutate=1.0, crossover=1.0) == {("mutate", 1)}
    assert asked(SEEDS[:1], crossover=1.0) == {("create", 0)}
    assert asked([], mutate=1.0, crossover=1.0) == {("create", 0)}
