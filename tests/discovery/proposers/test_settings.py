import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from discovery.proposers.batch import request_line
from discovery.proposers.settings import Model


def test_the_body_is_ours_and_what_is_added() -> None:
    """Temperature and limit go along unless they are omitted; what the config adds comes beside or instead of them."""
    assert Model(model="m").body("hi") == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.8,
        "max_tokens": 2048,
    }
    extra = {"max_completion_tokens": 9, "reasoning_effort": "low"}
    body = Model(model="m", omit=("temperature", "max_tokens"), extra_body=extra).body("hi")
    assert set(body) == {"model", "messages", "max_completion_tokens", "reasoning_effort"}
    assert Model(model="m", extra_body={"temperature": 0.1}).body("hi")["temperature"] == 0.1


@given(st.text())
def test_a_batch_line_is_one_line_of_json(prompt: str) -> None:
    """Whatever the prompt holds, a request is one line that any reader splits where it ends."""
    line = request_line("key", Model(model="m"), prompt)
    assert len(line.splitlines()) == 1 and line.endswith("\n") and line.isascii()
    assert json.loads(line)["body"]["messages"][0]["content"] == prompt


@pytest.mark.parametrize("name", ["model", "messages", "stream", "n"])
def test_extra_body_leaves_ours_alone(name: str) -> None:
    """What decides how an answer is read, or how many are paid for, is not to be overridden."""
    with pytest.raises(ValidationError, match=f"'{name}' is not for extra_body to set"):
        Model(model="m", extra_body={name: 1})


@pytest.mark.parametrize(
    ("settings", "longest", "ends"),
    [
        ({}, 2048, True),
        ({"extra_body": {"max_tokens": -1}}, 2048, False),
        ({"omit": ["max_tokens"]}, 2048, False),
        ({"omit": ["max_tokens"], "extra_body": {"max_completion_tokens": 77}}, 77, True),
        ({"max_tokens": 99, "extra_body": {"max_completion_tokens": 77}}, 99, True),
    ],
)
def test_the_longest_answer(settings: dict[str, Any], longest: int, ends: bool) -> None:
    """What may be reserved for an answer: the largest limit that is sent; −1 is none."""
    model = Model(model="m", **settings)
    assert (model.longest_answer, model.answers_end) == (longest, ends)


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "MY_KEY_2", "_k", "key", "AVeryLongNameOfAKeyVariable"])
def test_names_of_variables_are_taken(name: str) -> None:
    """Anything that is a name and does not look like a key."""
    assert Model(model="m", api_key_env=name).api_key_env == name
