"""The recorded streams whose answer, or whose tool's arguments, are JSON: typed as they come."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, TypedDict

import pydantic
import pytest

import millstream
from conftest import SHARED, Connect, Serve
from millstream import mock
from test_recordings import RECORDINGS, name_of, start, whole

pytest.importorskip("msgspec", reason="skipped: no msgspec for this interpreter")
import msgspec

pytestmark = pytest.mark.skipif(
    not RECORDINGS, reason="skipped: no recorded streams beside the project"
)


class City(pydantic.BaseModel):
    city: str
    country: str
    population: int | None = None


class Output(msgspec.Struct):
    output: int


class Value(TypedDict):
    value: int


@dataclasses.dataclass
class Address:
    street: str
    city: str


@dataclasses.dataclass
class Person:
    name: str
    address: Address


class Employer(msgspec.Struct):
    company_name: str


class Employee(msgspec.Struct):
    name: str
    employer: Employer | None = None


class Dog(pydantic.BaseModel):
    name: str
    age: int
    bio: str


class Dogs(pydantic.BaseModel):
    dogs: list[Dog]


class User(pydantic.BaseModel):
    name: str | None = None
    age: int | None = None


class Result(pydantic.BaseModel):
    result: float


_RESUMED = "anthropic-messages--test-structured-output-resume-stream"
ANSWERS: dict[str, tuple[Any, Any]] = {
    f"{_RESUMED}-json-anthropic-claude-sonnet-4-0-i1": (Output, Output(3)),
    "bedrock-converse--test-bedrock-native-output-stream": (
        City, City(city="Paris", country="France", population=2161000),
    ),
    "gemini--test-native-output-with-builtin-tools-stream": (
        City, City(city="Mexico City", country="Mexico"),
    ),
    "gemini--test-structured-output-resume-stream-google-gemini-2-5-flash-i1": (
        Output, Output(3),
    ),
    "gemini--test-validation-retry-google-gemini-2-5-flash-async-stream-i1": (
        Value, {"value": 173},
    ),
    "gemini-json-array--test-nested-model-direct-reference": (
        Person, Person("Alice", Address("123 Main St", "San Francisco")),
    ),
    "gemini-json-array--test-nested-model-optional": (
        Employee, Employee("Bob", Employer("TechCorp")),
    ),
}  # fmt: skip
DOGS = "gemini-json-array--test-prompt-with-multiple-dogs"
TYPED_CALLS: dict[str, tuple[Any, Any]] = {
    "openai-chat--streaming": (User, User(name="John Doe", age=30)),
    "openai-responses--test-openai-responses-streaming-usage": (Result, Result(result=6666)),
    "bedrock-converse--test-bedrock-model-code-execution-tool-stream": (
        Result, Result(result=7006652.0),
    ),
    f"{_RESUMED}-anthropic-claude-sonnet-4-0": (Output, Output(7)),
}  # fmt: skip
WITH_CALLS = [entry for entry in RECORDINGS if entry["expected"].get("tool_calls")]


def stream_of(serve: Serve, connect: Connect, entry: dict[str, Any]) -> millstream.Stream:
    body = (SHARED / "streams" / entry["file"]).read_bytes()
    kinds = {"eventstream": "application/vnd.amazon.eventstream", "json-array": "application/json"}
    kind = kinds.get(entry["framing"], "text/event-stream")
    kind = "application/x-ndjson" if entry["framing"] == "ndjson" else kind
    return start(connect(serve(whole(body, kind))), entry)


def named(name: str) -> dict[str, Any]:
    return next(entry for entry in RECORDINGS if name_of(entry) == name)


@pytest.mark.parametrize("name", ANSWERS)
def test_recorded_answers_are_typed(serve: Serve, connect: Connect, name: str) -> None:
    into, answer = ANSWERS[name]
    values = list(stream_of(serve, connect, named(name)).partials(into))
    assert values[-1] == answer
    assert type(values[-1]) is type(answer)
    assert stream_of(serve, connect, named(name)).result(into) == answer


def test_each_dog_comes_once_when_its_brace_has_come(serve: Serve, connect: Connect) -> None:
    stream = stream_of(serve, connect, named(DOGS))
    dogs = []
    for dog in stream.items(Dog, path="dogs"):
        dogs.append(dog)
        assert stream.message.text.count("}") >= len(dogs)
    whole_answer = stream_of(serve, connect, named(DOGS)).result(Dogs)
    assert dogs == whole_answer.dogs
    assert [dog.name for dog in dogs[:3]] == ["Shadow", "Zephyr", "Baron"]


@pytest.mark.parametrize("name", TYPED_CALLS)
def test_recorded_tool_calls_are_typed(serve: Serve, connect: Connect, name: str) -> None:
    into, arguments = TYPED_CALLS[name]
    for call in stream_of(serve, connect, named(name)).tool_calls():
        value = call.partial(into)
        assert value is None or type(value) is into
    assert call.result(into) == arguments


@pytest.mark.parametrize("entry", WITH_CALLS, ids=name_of)
def test_every_recorded_tool_call_is_read_to_its_end(
    serve: Serve, connect: Connect, entry: dict[str, Any]
) -> None:
    done: dict[int, millstream.PartialCall] = {}
    for call in stream_of(serve, connect, entry).tool_calls():
        call.partial(dict)
        if call.done:
            done[call.index] = call
    recorded = entry["expected"]["tool_calls"]
    assert [done[index].name for index in sorted(done)] == [call["name"] for call in recorded]
    for index, call in zip(sorted(done), recorded, strict=True):
        wanted = call.get("arguments_json", json.loads(call.get("arguments") or "{}"))
        assert done[index].result(dict) == wanted


def test_an_anthropic_answer_split_over_a_gate(serve: Serve, connect: Connect) -> None:
    """The brace of an item is enough: what comes after it is not waited for."""
    gate = mock.Gate()
    server = serve(mock.Answer(['{"items": [{"output": 1}', gate, ', {"output": 2}]}']))
    client = connect(server.base_url("anthropic"), provider="anthropic")
    items = client.stream(model="m", messages=[{"role": "user", "content": "Hi"}]).items(Output)
    assert next(items) == Output(1)
    gate.open()
    assert list(items) == [Output(2)]
