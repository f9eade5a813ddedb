"""Replays against a real HTTP server that streams: open loop, true times, and every way in which it can go wrong."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from engine_bridge.replay import client
from engine_bridge.replay.client import Replay, replay
from engine_bridge.replay.completions import Stream
from engine_bridge.replay.figures import replay_metrics
from engine_bridge.replay.http import Address
from engine_bridge.replay.http_server import Access, HttpServer, survey
from engine_bridge.replay.prompts import token_ids
from engine_bridge.replay.server import ServerError, check_fit
from engine_bridge.replay.server_metrics import Difference, parse
from engine_bridge.workload import Workload
from tests.completions_server import Call, Served, completions_server
from tests.endpoint import closed_port

WARM_UP = client.WARM_UP
PROBES = 1


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections shortly before they are needed, and frequent looks."""
    monkeypatch.setattr(client, "AHEAD", 0.2)
    monkeypatch.setattr(client, "LOOK_EVERY", 0.2)


def make(n: int = 20, rate: float = 40.0, **more: Any) -> Workload:
    """Requests at even times; prompts of 10, 11, … tokens, outputs of 3 to 12."""
    arrays = {"prompt": 10 + np.arange(n), "output": 3 + np.arange(n) % 10} | more
    return Workload.of("even", 5.0 + np.arange(n) / rate, **arrays)


def survey_of(served: Served | str, **access: Any) -> HttpServer:
    """What the server is."""
    url = served if isinstance(served, str) else served.url
    return asyncio.run(survey(Address.parse(url), Access(**access)))


def replay_on(served: Served, workload: Workload, **access: Any) -> Replay:
    """A replay."""

    async def run() -> Replay:
        return await replay(workload, await survey(Address.parse(served.url), Access(**access)))

    return asyncio.run(run())


def measured_calls(served: Served) -> list[Call]:
    """The calls of the replay proper, in the order of their prompts' lengths, which is that of the workload."""
    calls = [call for call in served.calls if call.body.get("vllm_xargs", {}).get("predicted", 0) != 2]
    return calls[WARM_UP:]


def test_arrivals_are_kept_whatever_the_server_does() -> None:
    """Open loop: with one slot and a queue that grows, requests still come when they are due; waiting is TTFT."""
    workload = make(30, rate=50.0, output=np.full(30, 10), predicted=np.full(30, 10))
    with completions_server(slots=1, token=0.005) as served:
        found = replay_on(served, workload)
    came = np.array([call.came for call in measured_calls(served)])
    assert np.abs((came - came[0]) - (workload.arrival - workload.arrival[0])).max() < 0.1
    assert found.served.all() and (found.output == 10).all()
    ttft = found.first_token - workload.arrival
    assert ttft[-1] > 30 * 0.05 - 30 / 50 - 0.1  # behind 29 others that take 50 ms each
    assert (np.diff(found.finish) > 0).all()


def test_times_are_those_at_which_the_server_sent() -> None:
    """First and last token are stamped within a few ms of when they left the server, on the workload's clock."""
    workload = make(20, rate=20.0, predicted=np.full(20, 5))
    with completions_server(token=0.01) as served:
        found = replay_on(served, workload)
    calls = measured_calls(served)
    start = np.array([call.came for call in calls]) - workload.arrival
    zero = np.median(start)  # when the workload's clock stood at 0
    first = np.array([call.first for call in calls]) - zero
    last = np.array([call.last for call in calls]) - zero
    assert np.median(np.abs(found.first_token - first)) < 0.01
    assert np.median(np.abs(found.finish - last)) < 0.01
    assert found.gaps[:, 1].sum() == workload.output.sum() - 20
    assert 0.009 < np.median(found.gaps[:, 0]) < 0.02


def test_figures_are_those_of_a_simulation() -> None:
    """Tokens, throughput, attainment, and what vLLM's metrics tell; a policy's own counters where there is one."""
    workload = make(20, predicted=np.full(20, 5)).with_slos(5.0, 1.0)
    with completions_server(policy=True) as served:
        figures = replay_metrics(replay_on(served, workload), workload)
    assert (figures.requests, figures.failed, figures.attainment) == (20, 0, 1.0)
    assert figures.output_throughput == pytest.approx(workload.output.sum() / figures.seconds)
    assert figures.total_throughput > figures.output_throughput
    assert figures.steps == workload.output.sum() == figures.invalid
    assert (figures.mean_kv, figures.hit_share, figures.preemptions) == (0.25, 0.5, 0)
    assert figures.scheduler_us == pytest.approx(50)
    assert figures.first_invalid == f"{workload.output.sum()} times crash"
    with completions_server(vllm=False) as served:
        figures = replay_metrics(replay_on(served, workload), workload)
    nothing = (figures.steps, figures.mean_kv, figures.hit_share, figures.preemptions, figures.scheduler_us)
    assert nothing == (None,) * 5 and figures.invalid is None


def test_tokens_that_come_together_count() -> None:
    """Several tokens in one event are as many tokens, with no time between them."""
    workload = make(4, output=np.full(4, 9), predicted=np.full(4, 9))
    with completions_server(together=4) as served:
        found = replay_on(served, workload)
    assert (found.output == 9).all()
    assert found.gaps[:, 1].sum() == 4 * 8
    assert found.gaps[found.gaps[:, 0] == 0, 1].sum() == 4 * 6


def test_what_the_policy_may_know_goes_along() -> None:
    """Predictions, objectives, priorities and groups are sent with each request; what is none is left out."""
    workload = make(2, predicted=[7, 9], ttft=[1.5, np.inf], tpot=[0.1, np.inf], priority=[3, 0], group=[4, -1])
    with completions_server() as served:
        replay_on(served, workload)
    bodies = [call.body for call in served.calls[-2:]]
    assert bodies[0]["vllm_xargs"] == {"predicted": 7, "ttft": 1.5, "tpot": 0.1, "priority": 3, "group": 4}
    assert bodies[1]["vllm_xargs"] == {"predicted": 9}
    assert [(body["max_tokens"], body["min_tokens"], body["ignore_eos"]) for body in bodies] == [
        (3, 3, True),
        (4, 4, True),
    ]


def test_a_plain_server_gets_a_plain_request() -> None:
    """What a server refuses is left out; its own output lengths and counts are taken."""
    workload = make(6, output=np.full(6, 12), predicted=np.full(6, 12))
    for usage in (True, False):
        with completions_server(vllm=False, usage=usage, stop_after=5, ids=False) as served:
            found = replay_on(served, workload, text=True)
        assert not set(served.calls[-1].body) & {"ignore_eos", "min_tokens", "vllm_xargs"}
        assert (found.output == 5).all()
        assert (found.prompt == (workload.prompt if usage else 0)).all()
        assert replay_metrics(found, workload).output_throughput > 0


def test_prompts_share_what_the_workload_says() -> None:
    """Equal blocks give equal tokens, all else is its own; another replay shares nothing with this one."""
    workload = make(3, prompt=[40, 50, 20], blocks=[[0, 1], [0, 1, 2], [3]], hash_block=16, predicted=[1, 1, 1])
    prompts = [token_ids(workload, request, salt=1) for request in range(3)]
    assert [len(prompt) for prompt in prompts] == [40, 50, 20]
    assert np.array_equal(prompts[0][:32], prompts[1][:32])
    assert not np.array_equal(prompts[0][32:40], prompts[1][32:40])
    assert not np.array_equal(prompts[0][:16], prompts[2][:16])
    assert not np.array_equal(token_ids(workload, 0, salt=2)[:16], prompts[0][:16])
    assert all(prompt.min() >= 300 and prompt.max() <= 999 for prompt in prompts)


def test_a_server_that_dies_ends_the_replay_at_once() -> None:
    """Connections that break and a port nobody listens at any more: one sentence, long before the last arrival."""
    workload = make(400, rate=20.0)
    with completions_server(die_after=10 + PROBES + WARM_UP) as served:
        start = time.monotonic()
        with pytest.raises(ServerError, match=r"the server at http://.* is gone .*; look at its log"):
            replay_on(served, workload)
    assert time.monotonic() - start < 10


def test_a_server_that_goes_silent_ends_the_replay() -> None:
    """Well by its own account, but no token comes any more: that ends too."""
    silent = pytest.raises(ServerError, match=r"has sent nothing for \d+ s with \d+ requests under way")
    with completions_server(hang_after=5 + PROBES + WARM_UP) as served, silent:
        replay_on(served, make(10), stall=1.0)


def test_requests_that_fail_count_as_missed() -> None:
    """Of 20 requests 5 get an error: they meet no objective, and the figures say how many."""
    workload = make(20, predicted=np.full(20, 5)).with_slos(10.0, 10.0)
    refused = tuple(PROBES + WARM_UP + place for place in (1, 3, 5, 7, 9))
    with completions_server(refuse=refused) as served:
        found = replay_on(served, workload)
    assert len(found.failures) == 5 and set(found.failures.values()) == {"HTTP 500: out of luck"}
    figures = replay_metrics(found, workload)
    assert (figures.requests, figures.failed, figures.attainment) == (15, 5, 0.75)


def test_a_server_that_refuses_everything_ends_the_replay() -> None:
    """After twenty failures and no success nothing more is sent."""
    refused = pytest.raises(ServerError, match="served none of the first 20 requests; the last: HTTP 500: out of luck")
    with completions_server(refuse=tuple(range(PROBES + WARM_UP, 1000))) as served, refused:
        replay_on(served, make(400))
    assert len(served.calls) < 200


@pytest.mark.parametrize(
    ("behaviour", "access", "said"),
    [
        ({"key": "secret"}, {}, r"wants a key \(HTTP 401\); name its environment variable by --api-key-env"),
        ({"ids": False}, {}, "the prompt must be a string.*try --prompts text"),
        ({"refuse": (0,)}, {}, r"does not stream completions \(HTTP 500: out of luck\)"),
    ],
)
def test_a_server_that_cannot_be_used_is_refused(behaviour: dict[str, Any], access: dict[str, Any], said: str) -> None:
    """One sentence each, with the remedy, before anything is sent."""
    with completions_server(**behaviour) as served, pytest.raises(ServerError, match=said):
        survey_of(served, **access)


def test_what_a_server_says_of_itself_is_taken() -> None:
    """Name, longest sequence, dialect; a key where it wants one, which is shown nowhere."""
    with completions_server(key="secret", longest=50) as served:
        server = survey_of(served, key="secret")
    about = server.about
    assert (about.model, about.engine, about.longest) == ("tiny", "vLLM 0.32.0", 50)
    assert server.dialect.forced and server.dialect.hints
    assert "secret" not in repr(server)
    with pytest.raises(ServerError, match=r"request 4 of even has 14 \+ 40 tokens, more than the 50"):
        check_fit(about, make(5, output=np.full(5, 40)))
    with pytest.raises(ServerError, match=r"no server at http://127.0.0.1:\d+ \(cannot connect"):
        survey_of(f"http://127.0.0.1:{closed_port()}")


def test_a_wrong_address_or_model_is_told_from_the_right_one() -> None:
    """A model that is not there, and a path under which no API is: what there is, and how to name it."""
    with completions_server() as served:
        with pytest.raises(ServerError, match=r"serves no model 'huge'; choose by --model from tiny"):
            asyncio.run(survey(Address.parse(served.url), Access(), "huge"))
        with pytest.raises(ServerError, match=r"/elsewhere lists no model at /v1/models, .*; correct --url"):
            survey_of(f"{served.url}/elsewhere")


def test_events_of_other_servers_are_understood() -> None:
    """The usage in a last event with text counts once; null usage, comments and blank lines are nothing."""
    stream = Stream()
    for place, line in enumerate(
        [
            b": ping",
            b"",
            b'data: {"choices":[{"text":"a"}],"usage":null}',
            b'data: {"choices":[{"text":""}]}',
            b'data: {"choices":[{"text":"b"}],"usage":{"completion_tokens":3,"prompt_tokens":2}}',
            b"data: [DONE]",
        ]
    ):
        stream.take(float(place), line)
    assert (stream.times, stream.counts, stream.served, stream.prompt) == ([2.0, 4.0], [1, 2], 3, 2)
    stream = Stream()
    stream.take(0.0, b'data: {"error": {"message": "engine  died", "code": 500}}')
    assert stream.error == "engine died"


def test_metrics_are_read_as_they_are_written() -> None:
    """Sums over labels, differences of counters, old names; nonsense is passed over."""
    before = parse('a_total{x="1"} 2\na_total{x="2"} 3\n# TYPE a counter\nnonsense\nb NaN-\n')
    after = parse('a_total{x="1"} 5.0 1700000000\na_total{x="2"} 3e0\nvllm:gpu_cache_usage_perc 0.5\n')
    change = Difference(before, after)
    assert change.count("nothing", "a_total") == 3 and change.count("b") is None
    assert after.get("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc") == 0.5
