import asyncio
from typing import Any

import pytest

from discovery.config import OpenAIProposer
from discovery.errors import UsageError
from discovery.proposers import openai as module
from discovery.proposers.base import Answer, ProposerError, Request
from discovery.proposers.openai import OpenAI, last_code_block
from tests.endpoint import MDD_LIKE, Reply, completion, endpoint

REQUEST = Request(0, 1, "create", (), "the prompt")


def propose(url: str, **settings: Any) -> Answer:
    """One request to the endpoint at `url`."""

    async def main() -> Answer:
        proposer = OpenAI(OpenAIProposer(kind="openai", model="mock", base_url=url, **settings))
        try:
            return await proposer.propose(REQUEST)
        finally:
            await proposer.close()

    return asyncio.run(main())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses between attempts, and a key to look for."""
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")


def test_prompt_and_settings_go_out_and_the_answer_comes_back_whole() -> None:
    """The request carries prompt, model and settings; the answer its text, code and token counts."""
    text = "An idea.\n" + MDD_LIKE.format(c="1.1")
    with endpoint(lambda number, request: completion(text, 123, 45)) as server:
        answer = propose(server.url, temperature=0.3, max_tokens=77)
    assert server.requests[0]["messages"] == [{"role": "user", "content": "the prompt"}]
    assert (server.requests[0]["temperature"], server.requests[0]["max_tokens"]) == (0.3, 77)
    assert server.keys == ["Bearer sk-very-secret"]
    assert answer.text == text
    assert answer.source is not None and answer.source.startswith("import numpy as np\n")
    assert (answer.input_tokens, answer.output_tokens) == (123, 45)


@pytest.mark.parametrize(
    "fault",
    [
        Reply(500, {"error": {"message": "boom"}}),
        Reply(429, {"error": {"message": "slow down"}}, {"Retry-After": "0"}),
        Reply(200, "<html>a proxy's page</html>"),
        Reply(200, {}),
        Reply(200, {"choices": []}),
    ],
)
def test_passing_faults_are_survived(fault: Reply) -> None:
    """Two faults and then a proper answer give the answer; no call is made twice after it."""
    with endpoint(lambda number, request: fault if number < 2 else completion(MDD_LIKE)) as server:
        assert propose(server.url).source is not None
        assert len(server.requests) == 3


def test_lasting_faults_end_in_one_sentence() -> None:
    """After the last attempt the error says what the endpoint did and how to go on."""
    with (
        endpoint(lambda number, request: Reply(503, {"error": {"message": "down"}})) as server,
        pytest.raises(ProposerError, match=r"after 5 attempts \(HTTP 503\).*discover resume"),
    ):
        propose(server.url)


@pytest.mark.parametrize(("status", "remedy"), [(401, "OPENAI_API_KEY"), (403, "may use"), (404, r"proposer\.model")])
def test_refusals_are_not_repeated_and_never_show_the_key(status: int, remedy: str) -> None:
    """One call, a remedy, and no key in the message, even if the endpoint echoes it."""
    reply = Reply(status, {"error": {"message": "key sk-very-secret is wrong"}})
    with endpoint(lambda number, request: reply) as server, pytest.raises(ProposerError, match=remedy) as caught:
        propose(server.url)
    assert len(server.requests) == 1
    assert "sk-very-secret" not in str(caught.value)


def test_a_missing_key_is_bad_usage_except_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A remote endpoint needs its key before the run starts; a local one may do without."""
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UsageError, match="set the environment variable OPENAI_API_KEY"):
        propose("https://models.example/v1")
    with endpoint(lambda number, request: completion(MDD_LIKE)) as server:
        assert propose(server.url).source is not None


def test_nobody_listening_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection names the endpoint and the remedy."""
    with pytest.raises(ProposerError, match="see that the endpoint is up"):
        propose("http://127.0.0.1:9/v1")


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("no code", None),
        ("```python\na = 1\n```\nthen\n```python\nb = 2\n```", "b = 2\n"),
        ("```py\r\na = 1\n```", "a = 1\n"),
        ("```\na = 1\n```", "a = 1\n"),
        ("```json\n{}\n```", None),
        ("  ```Python\n  a = 1\n  ```", "  a = 1\n"),
        ("```python\nunfinished", None),
    ],
)
def test_the_last_python_block_is_taken(text: str, source: str | None) -> None:
    """Python or unlabelled fences count, the last one wins, an unfinished or other one does not."""
    assert last_code_block(text) == source
