import asyncio
import socket
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from discovery.archive import Archive
from discovery.budget import Budget, BudgetSpent, Spending
from discovery.errors import UsageError
from discovery.ledger import Ledger
from discovery.proposers.base import Answer, Charge, ProposerError, Request
from discovery.proposers.completion import TEMPLATE_TOKENS, code_in
from discovery.proposers.endpoint import retry_after
from discovery.proposers.openai import OpenAI, drawn
from discovery.proposers.settings import Model, OpenAIProposer
from tests.endpoint import MDD_LIKE, Reply, closed_port, completion, endpoint, error

PROMPT = "the prompt"
KEY = "sk-very-secret"
TEXT = MDD_LIKE.format(c="1.1")
GOOD = completion(TEXT)
MOST = len(PROMPT) + TEMPLATE_TOKENS + 2048  # tokens that are reserved for a call, as `Model.max_tokens` is 2048


@dataclass(frozen=True)
class Session:
    """What came of asking: an answer or an error for each request, the calls in the archive, and what is spent."""

    results: list[Answer | BaseException]
    calls: list[dict[str, Any]]
    spending: Spending

    @property
    def answer(self) -> Answer:
        """The only result, if it is an answer."""
        (result,) = self.results
        if isinstance(result, BaseException):
            raise result
        return result


class Books:
    """Proposers that share one archive, as the sessions of a run do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "run"

    def ask(
        self, url: str, *, count: int = 1, first: int = 0, budget: Budget | None = None, **settings: Any
    ) -> Session:
        """Ask for `count` answers at once, those that are there already left out."""
        settings = {"kind": "openai", "model": "mock", "base_url": url, "backoff": 0.001, "attempts": 4, **settings}
        with Archive(self.folder, "append" if self.folder.exists() else "create") as archive:
            archive.event("created")

            async def main() -> Session:
                proposer = OpenAI(OpenAIProposer.model_validate(settings), "priority")
                ledger = Ledger(archive, budget or Budget(candidates=count))

                async def one(number: int) -> Answer:
                    answer = await proposer.propose(Request(number, 1, "create", (), PROMPT), ledger)
                    ledger.answered(number, answer)
                    return answer

                try:
                    numbers = range(first, first + count)
                    results = await asyncio.gather(*map(one, numbers), return_exceptions=True)
                finally:
                    await proposer.close()
                rows = archive.query(
                    "SELECT number, key, outcome, settled.detail, settled.tokens, settled.cost, call.tokens AS most"
                    " FROM call LEFT JOIN settled ON settled.call = call.id ORDER BY call.id"
                )
                return Session(results, rows, ledger.spending)

            return asyncio.run(main())


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Books:
    """An empty archive to be, and a key to look for."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return Books(tmp_path)


def outcomes(session: Session) -> list[str]:
    """How the calls ended, in order."""
    return [call["outcome"] for call in session.calls]


# ---- what goes out, and what comes back


def test_prompt_and_settings_go_out_and_the_answer_comes_back_whole(books: Books) -> None:
    """The request carries prompt, model, settings and key; the answer its text, code, tokens and price."""
    text = "An idea.\n" + TEXT
    with endpoint(lambda number, request: completion(text, 123, 45)) as server:
        prices = {"input_price": 1000.0, "output_price": 10_000.0}
        answer = books.ask(server.url, temperature=0.3, max_tokens=77, extra_body={"top_k": 5}, **prices).answer
    assert server.requests == [
        {
            "model": "mock",
            "messages": [{"role": "user", "content": PROMPT}],
            "temperature": 0.3,
            "max_tokens": 77,
            "top_k": 5,
        }
    ]
    assert server.keys == [f"Bearer {KEY}"]
    assert answer.text == text
    assert answer.source is not None and answer.source.startswith("import numpy as np\n")
    assert (answer.model, answer.input_tokens, answer.output_tokens) == ("mock", 123, 45)
    assert answer.cost == pytest.approx(0.123 + 0.45)


def test_what_an_endpoint_does_not_know_can_be_left_out_or_replaced(books: Books) -> None:
    """`omit` keeps keys of ours back, extra_body puts others in their place, and the reservation knows the limit."""
    with endpoint(lambda number, request: completion(TEXT, "wrong", 1)) as server:
        extra = {"max_completion_tokens": 300}
        session = books.ask(server.url, omit=["temperature", "max_tokens"], extra_body=extra)
    assert set(server.requests[0]) == {"model", "messages", "max_completion_tokens"}
    assert session.spending.charge.tokens == len(PROMPT) + TEMPLATE_TOKENS + 300


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ((100, 20), 120),
        ((1, 1), 2),
        ((MOST, MOST), 2 * MOST),  # more than was reserved, and believed: an endpoint may bill so
        ((None, 20), MOST),
        ((0, 0), MOST),
        ((-5, 20), MOST),
        ((100, -1), MOST),
        ((100, 0), MOST),  # there was an answer, so it had tokens
        (("100", "20"), MOST),
        ((100.5, 20), MOST),
        ((float("nan"), 20), MOST),
        ((10**30, 20), MOST),
        ((100, 10**30), MOST),
    ],
)
def test_usage_that_cannot_be_true_counts_as_reserved(books: Books, usage: tuple[Any, Any], tokens: int) -> None:
    """Credible figures are charged to the token; others never make a call cheap, nor the budget explode."""
    with endpoint(lambda number, request: completion(TEXT, *usage)) as server:
        session = books.ask(server.url)
    assert (session.answer.source, session.spending) == (code_in(TEXT, "priority"), Spending(1, Charge(tokens)))
    assert session.calls[0]["tokens"] == tokens


def test_usage_that_is_no_record_counts_as_reserved(books: Books) -> None:
    """`usage` may be missing, null, a list or a number."""
    for number, usage in enumerate([None, [], 7, "x", {}]):
        body = {**GOOD.body, "usage": usage}
        with endpoint(lambda number, request, body=body: Reply(body=body)) as server:  # type: ignore[misc]
            assert books.ask(server.url, first=number).spending.charge.tokens == MOST * (number + 1)


# ---- faults


@pytest.mark.parametrize(
    ("fault", "outcome", "tokens"),
    [
        (error(500, "boom"), "rejected", 0),
        (error(503, "loading"), "rejected", 0),
        (error(429, "slow down", Retry_After="0"), "rejected", 0),
        (error(429, "slow down"), "rejected", 0),
        (error(408, "too slow"), "rejected", 0),
        (Reply(502, "<html>bad gateway</html>"), "rejected", 0),
        (Reply(200, "<html>a proxy's page</html>"), "unusable", MOST),
        (Reply(200, {}), "unusable", MOST),
        (Reply(200, []), "unusable", MOST),
        (Reply(200, "null"), "unusable", MOST),
        (Reply(200, "[" * 100_000), "unusable", MOST),
        (Reply(200, b"\xff\xfe\x00"), "unusable", MOST),
        (Reply(200, {"choices": []}), "unusable", MOST),
        (Reply(200, {"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 4}}), "unusable", 34),
        (Reply(200, '{"choices": [{"message": {"content": "cut o'), "unusable", MOST),
        (Reply(200, GOOD.body, length=5), "unusable", MOST),
        (Reply(200, GOOD.body, length=100_000), "lost", MOST),
        (Reply(200, GOOD.body, reset_after=0), "lost", MOST),
        (Reply(200, GOOD.body, reset_after=30), "lost", MOST),
        (Reply(200, GOOD.body, delay=3.0), "lost", MOST),
        (Reply(200, GOOD.body, drip=0.05), "lost", MOST),
        (Reply(500, "x" * 300, drip=0.05), "lost", MOST),
    ],
    ids=lambda value: "" if isinstance(value, Reply) else str(value),
)
def test_passing_faults_are_survived_and_charged(books: Books, fault: Reply, outcome: str, tokens: int) -> None:
    """Two faults, then an answer: three calls, each written down with how it ended and what it may have cost."""
    with endpoint(lambda number, request: fault if number < 2 else GOOD) as server:
        session = books.ask(server.url, timeout=0.6)
    assert session.answer.source is not None
    assert outcomes(session) == [outcome, outcome, "answered"]
    assert [call["tokens"] for call in session.calls] == [tokens, tokens, 120]
    held = 2 * MOST if outcome == "lost" else 0
    assert session.spending == Spending(3, Charge(2 * tokens + 120), Charge(held))
    assert len(server.requests) == 3


def test_lasting_faults_end_in_one_sentence(books: Books) -> None:
    """After the last attempt the error says what the endpoint did and what to do."""
    with endpoint(lambda number, request: error(503, "down for repair")) as server:
        session = books.ask(server.url)
    with pytest.raises(
        ProposerError, match=r"no answer from model 'mock' at http.*after 4 attempts \(HTTP 503: down for"
    ):
        _ = session.answer
    assert outcomes(session) == ["rejected"] * 4


def test_nobody_listening_is_no_call(books: Books) -> None:
    """A refused connection names the endpoint and the remedy, and counts neither as a call nor as tokens."""
    session = books.ask(f"http://127.0.0.1:{closed_port()}/v1")
    with pytest.raises(ProposerError, match=r"cannot connect.*see that the endpoint is up"):
        _ = session.answer
    assert (outcomes(session), session.spending) == (["unreachable"] * 4, Spending())


def test_a_connection_that_is_not_taken_is_no_call(books: Books) -> None:
    """Where packets are swallowed, nothing was sent, so nothing is owed."""
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for guest in (first, second):  # they fill the queue
            guest.setblocking(False)
            guest.connect_ex(deaf.getsockname())
        session = books.ask(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", timeout=0.4, attempts=2)
    assert (outcomes(session), session.spending) == (["unreachable"] * 2, Spending())


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (400, None, "check the proposer section"),
        (401, None, "OPENAI_API_KEY"),
        (403, None, "may use"),
        (404, "model_not_found", "check the model's name"),
        (429, "insufficient_quota", "see to the account"),
    ],
)
def test_refusals_are_not_repeated(books: Books, status: int, code: str | None, remedy: str) -> None:
    """One call, the endpoint's words, and a remedy."""
    with endpoint(lambda number, request: error(status, "so it is", code)) as server:
        session = books.ask(server.url)
    with pytest.raises(ProposerError, match=rf"HTTP {status} \(so it is\); .*{remedy}"):
        _ = session.answer
    assert (outcomes(session), session.spending) == (["rejected"], Spending(1))


# ---- waiting


def test_an_endpoints_pause_holds_for_all_its_calls(books: Books) -> None:
    """After a 429 that asks for .4 s no call at all goes to that endpoint for .4 s."""

    def answer(number: int, request: dict[str, Any]) -> Reply:
        return error(429, "slow down", Retry_After="0.4") if number == 0 else GOOD

    with endpoint(answer) as server:
        session = books.ask(server.url, count=6, concurrency=1)
    assert len(session.calls) == 7
    gaps = [call.began - server.calls[0].ended for call in server.calls[1:]]
    assert 0.38 < min(gaps) < 1.5


def test_a_pause_is_that_endpoints_alone(books: Books) -> None:
    """While one endpoint rests the other is asked."""
    with (
        endpoint(lambda number, request: error(429, "slow", Retry_After="1") if number == 0 else GOOD) as slow,
        endpoint(lambda number, request: GOOD) as other,
    ):
        models = [{"base_url": slow.url}, {"base_url": other.url}]
        session = books.ask("http://127.0.0.1/", count=12, concurrency=1, models=models)
        assert not [result for result in session.results if isinstance(result, BaseException)]
        assert max(call.ended for call in other.calls) < slow.calls[1].began
        assert slow.calls[1].began - slow.calls[0].ended > 0.95


def test_a_date_is_taken_against_the_endpoints_own_clock(books: Books) -> None:
    """Retry-After as a date, from a server whose clock is ten years behind."""
    clock = {"Date": "Wed, 21 Oct 2015 07:28:00 GMT", "Retry_After": "Wed, 21 Oct 2015 07:28:01 GMT"}
    with endpoint(lambda number, request: error(429, "slow", **clock) if number == 0 else GOOD) as server:
        assert books.ask(server.url).answer
    assert 0.95 < server.calls[1].began - server.calls[0].ended < 3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0.25", 0.25),
        ("-3", 0.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:30 -0000", None),
        ("Wed, 99 Oct 2015 99:99:99 GMT", None),
    ],
)
def test_what_retry_after_may_hold(text: str, seconds: float | None) -> None:
    """Seconds or a date; nonsense counts as not given, and breaks nothing."""
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert retry_after({"retry-after": text, "date": date}) == seconds


def test_a_pause_of_an_hour_ends_in_a_sentence(books: Books) -> None:
    """Nobody sits a long pause out: the run pauses, and says for how long."""
    with endpoint(lambda number, request: error(429, "quota of the hour", Retry_After="3600")) as server:
        session = books.ask(server.url)
    with pytest.raises(ProposerError, match=r"asks us to come back in 3600 s; quota of the hour"):
        _ = session.answer
    assert len(server.requests) == 1


def test_pauses_grow_and_are_jittered(books: Books) -> None:
    """Without Retry-After the pauses are about b, 2b, 4b, each with a jitter of half its length."""
    with endpoint(lambda number, request: error(500, "boom") if number < 3 else GOOD) as server:
        assert books.ask(server.url, backoff=0.1).answer
    gaps = [after.began - before.ended for before, after in zip(server.calls, server.calls[1:], strict=False)]
    for gap, middle in zip(gaps, (0.1, 0.2, 0.4), strict=True):
        assert 0.5 * middle < gap < 1.5 * middle + 0.3


def test_the_time_budget_ends_a_pause(books: Books) -> None:
    """A pause does not outlast the minutes of the budget, and no call is made when they are over."""
    budget = Budget(candidates=1, minutes=2 / 60)
    with endpoint(lambda number, request: error(429, "slow down", Retry_After="30")) as server:
        started = time.monotonic()
        session = books.ask(server.url, budget=budget)
    assert time.monotonic() - started < 15
    assert server.calls[0].ended - started < 2, "the pause was to begin before the time was up"
    with pytest.raises(BudgetSpent, match="time budget"):
        _ = session.answer
    assert len(server.requests) == 1


def test_no_more_calls_at_once_than_allowed(books: Books) -> None:
    """The limit holds and is used in full."""
    with endpoint(lambda number, request: Reply(body=GOOD.body, delay=0.05)) as server:
        books.ask(server.url, count=20, concurrency=5)
    assert server.peak == 5
    assert len(server.requests) == 20


# ---- several models


def test_models_are_drawn_by_weight_and_fixed_by_the_seed() -> None:
    """First choices follow the weights, every model has its turn in each order, and a seed decides alone."""
    models = [Model(model="a", weight=6), Model(model="b", weight=3), Model(model="c", weight=1)]
    orders = [drawn(models, f"1:model:{number}") for number in range(3000)]
    first = Counter(order[0] for order in orders)
    assert [first[i] / 3000 for i in range(3)] == pytest.approx([0.6, 0.3, 0.1], abs=0.04)
    # Of those where a came first, b is next three times as often as c: drawn without replacement.
    second = Counter(order[1] for order in orders if order[0] == 0)
    assert second[1] / second.total() == pytest.approx(0.75, abs=0.04)
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    assert orders == [drawn(models, f"1:model:{number}") for number in range(3000)]


def test_each_endpoint_gets_its_own_key_model_and_price(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two endpoints in one run: keys do not cross, and each answer is charged at its model's price."""
    monkeypatch.setenv("OTHER_KEY", "other-secret")
    with endpoint(lambda n, r: GOOD) as one, endpoint(lambda n, r: completion(TEXT, 200, 30)) as two:
        models = [
            {"model": "small", "base_url": one.url, "input_price": 1e6},
            {"model": "large", "base_url": two.url, "output_price": 1e6, "api_key_env": "OTHER_KEY"},
        ]
        session = books.ask("", count=20, models=models)
    assert {*one.keys, *two.keys} == {f"Bearer {KEY}", "Bearer other-secret"}
    assert set(one.keys) == {f"Bearer {KEY}"}
    assert {request["model"] for request in one.requests} == {"small"}
    assert {request["model"] for request in two.requests} == {"large"}
    assert session.spending.charge.cost == pytest.approx(100 * len(one.calls) + 30 * len(two.calls))
    assert min(len(one.calls), len(two.calls)) >= 3


@pytest.mark.parametrize(("status", "calls"), [(401, 2), (503, 20)])
def test_a_model_that_fails_for_good_is_stood_in_for(books: Books, status: int, calls: int) -> None:
    """All requests are answered by the other model; the failed one is not asked over and over."""
    with endpoint(lambda n, r: error(status, "no")) as bad, endpoint(lambda n, r: GOOD) as good:
        models = [{"base_url": bad.url}, {"base_url": good.url}]
        session = books.ask("", count=30, concurrency=2, attempts=2, models=models)
    assert [type(result) for result in session.results] == [Answer] * 30
    assert len(good.calls) == 30
    assert 1 <= len(bad.calls) <= calls  # those two at once; or of about 15 first attempts, and the first second ones


def test_when_all_models_fail_all_are_named(books: Books) -> None:
    """The sentence holds what each of them said."""
    with endpoint(lambda n, r: error(401, "who?")) as one, endpoint(lambda n, r: error(404, "what?")) as two:
        session = books.ask("", models=[{"base_url": one.url}, {"base_url": two.url}])
    with pytest.raises(ProposerError, match=r"who\?.*what\?|what\?.*who\?"):
        _ = session.answer


# ---- keys


@pytest.mark.parametrize(
    "reply",
    [
        completion(f"Your key is {KEY}.\n```python\n# {KEY}\ndef priority(p): return p\n```"),
        Reply(200, '{"choices": [{"message": {"content": "\\u0073k-very-secret"}}]}'),  # as JSON may write it
        Reply(200, f"<html>{KEY}</html>"),
        Reply(200, "x" * 55 + KEY),
        error(401, f"the key {KEY} is wrong"),
        error(500, f"{'x' * 290} {KEY}"),
        Reply(400, f"Bearer {KEY}"),
        Reply(401, {"error": KEY}),
        Reply(200, {"choices": [], KEY: 1}),
    ],
)
def test_an_endpoint_that_echoes_the_key_does_not_spread_it(books: Books, reply: Reply) -> None:
    """No trace of the key in answers, errors, or any byte of the archive."""
    with endpoint(lambda number, request: reply) as server:
        session = books.ask(server.url, attempts=2)
    assert KEY not in repr(session)
    assert "very-secret" not in repr(session)
    assert not [path for path in books.folder.rglob("*") if path.is_file() and b"very-secret" in path.read_bytes()]


def test_white_space_around_a_key_is_not_sent(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key read from a file often ends with a line break, which no header may hold."""
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\r\n")
    with endpoint(lambda number, request: GOOD) as server:
        assert books.ask(server.url).answer
    assert server.keys == [f"Bearer {KEY}"]


@pytest.mark.parametrize("key", ["sk-very\nsecret", "sk-véry-secret", "sk-very secret"])
def test_a_key_that_cannot_be_sent_is_bad_usage(books: Books, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """It is refused before the run starts, in a sentence that names the variable and does not show the key."""
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as caught:
        books.ask("http://127.0.0.1:9/v1")
    assert "secret" not in str(caught.value)


def test_a_missing_key_is_bad_usage_except_on_loopback(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """A remote endpoint needs its key before the run starts; a local one may do without."""
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UsageError, match="set the environment variable OPENAI_API_KEY"):
        books.ask("https://models.example/v1")
    with endpoint(lambda number, request: GOOD) as server:
        assert books.ask(server.url).answer.source is not None


# ---- the cache


def test_an_identical_request_is_answered_from_the_cache(books: Books, tmp_path: Path) -> None:
    """With a cache the same prompt is paid once, also by the next session; another temperature is another request."""
    cache = tmp_path / "deep" / "cache.db"
    with endpoint(lambda number, request: GOOD) as server:
        first = books.ask(server.url, cache=cache)
        second = books.ask(server.url, first=1, cache=cache)
        assert len(server.requests) == 1
        assert second.answer.source == first.answer.source
        assert (second.answer.charge, second.spending) == (Charge(), Spending(1, Charge(120)))
        books.ask(server.url, first=2, cache=cache, temperature=0.1)
        books.ask(server.url, first=3)
        assert len(server.requests) == 3


def test_a_cache_that_fails_costs_no_answer(books: Books, tmp_path: Path) -> None:
    """What was paid for is kept even where the cache cannot be written any more."""
    cache = tmp_path / "cache.db"
    with endpoint(lambda number, request: GOOD) as server:
        books.ask(server.url, cache=cache)
        with sqlite3.connect(cache) as db:
            db.execute("DROP TABLE cached")
            db.execute("CREATE VIEW cached AS SELECT 'x' AS request, 'y' AS answer")
        assert books.ask(server.url, first=1, cache=cache).answer.source is not None


def test_a_file_that_is_no_cache_is_bad_usage(books: Books, tmp_path: Path) -> None:
    """The message names the key of the config and the file."""
    (tmp_path / "cache.db").write_text("this is no database, and long enough to be seen as none" * 50)
    with pytest.raises(UsageError, match=r"proposer\.cache: .*cache\.db"):
        books.ask("http://127.0.0.1:9/v1", cache=tmp_path / "cache.db")


# ---- calls of unknown outcome


def test_a_lost_call_is_sent_again_under_its_key_and_owed_once(books: Books) -> None:
    """Where the endpoint honours keys, a call that broke off is repeated under its key: one bill, one charge."""
    reply = Reply(200, GOOD.body, reset_after=10)
    with endpoint(lambda number, request: reply, idempotent=True) as server:
        session = books.ask(server.url, idempotent=True)
    assert outcomes(session) == ["lost", "answered"]
    assert len({call.key for call in server.calls}) == 1
    assert len(server.billed) == 1
    assert session.spending == Spending(2, Charge(120))


def test_a_rejection_says_nothing_about_the_call_that_was_lost_before(books: Books) -> None:
    """A 409 or 429 to the repetition of a lost call leaves it owed, and the next attempt has the same key."""

    def answer(number: int, request: dict[str, Any]) -> Reply:
        return [Reply(200, GOOD.body, reset_after=10), error(409, "in progress"), error(429, "slow"), GOOD][number]

    with endpoint(answer) as server:
        session = books.ask(server.url, idempotent=True, attempts=3)
        assert outcomes(session) == ["lost", "rejected", "rejected"]
        assert session.spending == Spending(3, Charge(MOST), Charge(MOST))
        session = books.ask(server.url, idempotent=True)
    assert len({call.key for call in server.calls}) == 1
    assert session.spending == Spending(4, Charge(120))


def test_a_rejected_call_is_sent_again_under_a_new_key(books: Books) -> None:
    """An endpoint that remembers its errors by key must not be asked under the key of one."""
    with endpoint(lambda number, request: error(500, "boom") if number == 0 else GOOD) as server:
        books.ask(server.url, idempotent=True)
    assert len({call.key for call in server.calls}) == 2


def test_keys_are_not_shared_between_endpoints(books: Books) -> None:
    """A call lost at one endpoint and made at another is owed at both, though the model has the same name."""
    broken = Reply(200, GOOD.body, reset_after=10)
    with endpoint(lambda n, r: broken) as one, endpoint(lambda n, r: broken) as two:
        models = [{"base_url": one.url}, {"base_url": two.url}]
        session = books.ask("", idempotent=True, attempts=1, models=models)
    assert {call.key for call in one.calls}.isdisjoint(call.key for call in two.calls)
    assert session.spending == Spending(2, Charge(2 * MOST), Charge(2 * MOST))


def test_without_idempotency_every_call_is_owed(books: Books) -> None:
    """Two calls that broke off may both have been billed, and both count."""
    reply = Reply(200, GOOD.body, reset_after=10)
    with endpoint(lambda number, request: reply if number < 2 else GOOD) as server:
        session = books.ask(server.url)
    assert len({call.key for call in server.calls}) == 3
    assert session.spending == Spending(3, Charge(2 * MOST + 120), Charge(2 * MOST))
