"""`into=T`: the JSON schema of a type in each provider's own field, and the answer read by it."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import decimal
import enum
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypedDict

import pydantic
import pytest

import millstream
from answers import MESSAGES
from conftest import Connect, Serve
from millstream import Done, WithState, mock
from millstream._providers import PROVIDERS
from millstream.params import Options

pytest.importorskip("msgspec", reason="skipped: no msgspec for this interpreter")
import msgspec

KEY = "key-7f3a9c"
TOOL = "structured_answer"
OPTIONS: dict[str, Options] = {"bedrock": {"region": "eu-west-1"}}


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


@dataclasses.dataclass
class Day:
    """One day."""

    high: float
    rain: bool = False


@dataclasses.dataclass
class Report:
    city: Annotated[str, WithState]
    days: list[Annotated[Day, Done]]
    unit: Unit = Unit.C
    note: str | None = None


class Item(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=1, description="What it is called.")
    price: float = pydantic.Field(gt=0)


class Order(pydantic.BaseModel):
    first: Item = pydantic.Field(description="The first.")
    items: list[Item] = pydantic.Field(min_length=1)
    note: str | None = None


class Struct(msgspec.Struct):
    n: int
    kind: Literal["a", "b"] = "a"


class Node(TypedDict):
    name: str
    children: list[Node]


class Free(TypedDict):
    words: dict[str, str]


DAY = {
    "type": "object",
    "description": "One day.",
    "properties": {"high": {"type": "number"}, "rain": {"type": "boolean"}},
    "required": ["high"],
    "additionalProperties": False,
}
REPORT = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "array", "items": {"$ref": "#/$defs/Day"}},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
    "$defs": {"Day": DAY},
}
TYPED = {
    **REPORT,
    "properties": {
        **REPORT["properties"],  # type: ignore[dict-item]
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    },
}
STRICT = {
    **TYPED,
    "required": ["city", "days", "unit", "note"],
    "$defs": {"Day": {**DAY, "required": ["high", "rain"]}},
}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in PROVIDERS.values():
        for names in (provider.key_variables, *provider.options.values()):
            for name in names:
                monkeypatch.delenv(name, raising=False)


def body_for(provider: str, into: Any, **arguments: Any) -> Any:
    client = millstream.Client(provider, api_key=KEY, options=OPTIONS.get(provider))
    request = client.request_for(model="m", messages=MESSAGES, into=into, **arguments)
    assert request.body is not None
    return json.loads(request.body)


# ---- where the schema goes -----------------------------------------------------------------------

CHAT = {"type": "json_schema", "json_schema": {"name": "Report", "schema": STRICT, "strict": True}}


@pytest.mark.parametrize(
    ("provider", "field", "value"),
    [
        ("openai", "response_format", CHAT),
        ("vllm", "response_format", CHAT),
        ("mistral", "response_format", CHAT),
        (
            "openai-responses",
            "text",
            {"format": {"type": "json_schema", **CHAT["json_schema"]}},  # type: ignore[dict-item]
        ),
        ("anthropic", "output_config", {"format": {"type": "json_schema", "schema": TYPED}}),
        (
            "gemini",
            "generationConfig",
            {"responseMimeType": "application/json", "responseJsonSchema": TYPED},
        ),
        ("ollama", "format", REPORT),
        ("cohere", "response_format", {"type": "json_object", "json_schema": REPORT}),
    ],
)
def test_the_schema_goes_where_each_provider_wants_it(
    provider: str, field: str, value: Any
) -> None:
    asked = body_for(provider, Report)
    assert asked.pop(field) == value
    assert asked == body_for(provider, None)  # and nothing else has changed


def test_bedrock_is_asked_for_a_tool() -> None:
    config = body_for("bedrock", Report)["toolConfig"]
    assert config["toolChoice"] == {"tool": {"name": TOOL}}
    (tool,) = config["tools"]
    assert tool["toolSpec"]["name"] == TOOL
    assert tool["toolSpec"]["inputSchema"] == {"json": REPORT}


def test_bedrock_beside_other_tools() -> None:
    tools = [{"name": "rain"}]
    config = body_for("bedrock", Report, tools=tools)["toolConfig"]
    assert [tool["toolSpec"]["name"] for tool in config["tools"]] == ["rain", TOOL]
    assert config["toolChoice"] == {"any": {}}
    config = body_for("bedrock", Report, tools=tools, tool_choice="auto")["toolConfig"]
    assert config["toolChoice"] == {"auto": {}}
    config = body_for("bedrock", Report, tools=tools, tool_choice="none")["toolConfig"]
    assert [tool["toolSpec"]["name"] for tool in config["tools"]] == [TOOL]


def test_params_of_the_users_own_win() -> None:
    own = {"type": "json_object"}
    assert body_for("openai", Report, response_format=own)["response_format"] == own
    asked = body_for("openai-responses", Report, text={"verbosity": "low"})["text"]
    assert asked.keys() == {"format", "verbosity"}
    asked = body_for("anthropic", Report, output_config={"effort": "low"})["output_config"]
    assert asked.keys() == {"format", "effort"}
    asked = body_for("gemini", Report, generationConfig={"seed": 1})["generationConfig"]
    assert asked.keys() == {"responseMimeType", "responseJsonSchema", "seed"}


# ---- the schema ----------------------------------------------------------------------------------


def schema_for(provider: str, into: Any) -> Any:
    return {
        "openai": lambda: body_for("openai", into)["response_format"]["json_schema"],
        "anthropic": lambda: body_for("anthropic", into)["output_config"]["format"]["schema"],
        "ollama": lambda: body_for("ollama", into)["format"],
        "gemini": lambda: body_for("gemini", into)["generationConfig"]["responseJsonSchema"],
    }[provider]()


def test_a_pydantic_schema_is_its_own() -> None:
    assert schema_for("ollama", Order) == Order.model_json_schema()


def test_a_struct_schema_is_its_own_with_an_object_at_the_root() -> None:
    own = msgspec.json.schema(Struct)
    assert schema_for("ollama", Struct) == own["$defs"]["Struct"]


def test_strict_mode_gets_what_it_can_hold() -> None:
    asked = schema_for("openai", Order)
    assert asked["strict"] is True
    schema = asked["schema"]
    assert schema["required"] == ["first", "items", "note"]
    assert schema["additionalProperties"] is False
    assert "default" not in schema["properties"]["note"]
    first = schema["properties"]["first"]
    assert "$ref" not in first  # a reference must have nothing beside it
    assert first["description"] == "The first."
    assert first["properties"].keys() == {"name", "price"}
    assert schema["properties"]["items"]["items"] == {"$ref": "#/$defs/Item"}


def test_a_type_that_strict_mode_cannot_hold_is_asked_for_without_it() -> None:
    asked = schema_for("openai", Free)
    assert asked["strict"] is False
    assert asked["schema"]["properties"]["words"] == {
        "type": "object",
        "additionalProperties": {"type": "string"},
    }


def test_what_a_grammar_cannot_hold_is_told_in_words() -> None:
    schema = schema_for("anthropic", Order)
    name = schema["$defs"]["Item"]["properties"]["name"]
    assert "minLength" not in name
    assert name["description"] == "What it is called. (minLength: 1)"
    assert schema["properties"]["items"]["minItems"] == 1  # it holds the model to no other number
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Item"]["additionalProperties"] is False


class Shape(pydantic.BaseModel):
    """Of what their documentation says that it is not to be sent as it is."""

    kind: Literal["round"]
    maybe: Literal["a", 1, None] = None
    yes: Literal[True] = True
    first: Item = pydantic.Field(description="The first.")
    either: Annotated[Order | Day, pydantic.Field(description="One.")]
    tagged: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]
    several: list[Cat | Dog] = pydantic.Field(min_length=2, max_length=5)
    word: str = pydantic.Field(pattern="^[a-z]+$", min_length=2, max_length=9, examples=["no"])
    n: int = pydantic.Field(3, ge=1, lt=9, multiple_of=2)
    price: decimal.Decimal
    page: pydantic.HttpUrl
    when: datetime.datetime
    blob: bytes
    tags: set[str] = set()
    color: Unit = pydantic.Field(default=Unit.C, title="Unit", description="Which.")


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


Shape.model_rebuild()


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    """The schema and all in it."""
    yield schema
    inner = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    inner += [*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("prefixItems", ())]
    inner += [schema[key] for key in ("items",) if key in schema]
    for each in inner:
        yield from subschemas(each)


SHAPES = [Report, Order, Struct, Node, Shape]


@pytest.mark.parametrize("into", SHAPES)
def test_openai_gets_what_its_own_library_would_send(into: Any) -> None:
    library = pytest.importorskip("openai.lib._pydantic", reason="skipped: no openai")
    asked = schema_for("openai", into)
    assert asked["strict"] is True
    schema = asked["schema"]
    strict = library._ensure_strict_json_schema(copy.deepcopy(schema), path=(), root=schema)
    assert strict == schema
    for each in subschemas(schema):
        assert each.keys() & {"type", "$ref", "anyOf"}, each
        assert not each.keys() & {"oneOf", "allOf", "default", "maxLength", "uniqueItems"}
        assert each.get("format") not in ("uri", "binary", "decimal")
        assert "(?" not in each.get("pattern", "")


@pytest.mark.parametrize("into", SHAPES)
def test_anthropic_gets_what_its_own_library_would_send(into: Any) -> None:
    library = pytest.importorskip("anthropic.lib._parse._transform", reason="skipped: no anthropic")
    schema = schema_for("anthropic", into)
    sent = library.transform_schema(copy.deepcopy(schema))

    def untyped(each: Any) -> Any:
        """That library leaves the type of an enum to be seen from its values."""
        if isinstance(each, list):
            return [untyped(one) for one in each]
        if not isinstance(each, dict):
            return each
        left = {"type"} if each.keys() & {"enum", "const"} else set()
        return {key: untyped(value) for key, value in each.items() if key not in left}

    assert untyped(sent) == untyped(schema)


# Google's list; https://ai.google.dev/api/generate-content#FIELDS.response_json_schema
GEMINI = {
    "$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items",
    "prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties",
    "additionalProperties", "required",
}  # fmt: skip


@pytest.mark.parametrize("into", [*SHAPES, Free])
def test_gemini_gets_what_it_knows(into: Any) -> None:
    schema = schema_for("gemini", into)
    for each in subschemas(schema):
        assert each.keys() <= GEMINI, each
        assert "$ref" not in each or each.keys() == {"$ref"}
        assert all(type(value) in (str, int, float) for value in each.get("enum", ()))
    if into is Shape:
        assert schema["properties"]["kind"] == {
            "enum": ["round"], "title": "Kind", "type": "string",
        }  # fmt: skip
        assert schema["properties"]["word"]["description"] == (
            "(maxLength: 9, minLength: 2, pattern: ^[a-z]+$)"
        )


class Loose(pydantic.BaseModel):
    anything: Any


class Pair(pydantic.BaseModel):
    pair: tuple[int, str]


@pytest.mark.parametrize("into", [Loose, Pair, Free])
def test_what_strict_mode_does_not_know_is_asked_for_without_it(into: Any) -> None:
    asked = schema_for("openai", into)
    assert asked["strict"] is False
    assert asked["schema"] == schema_for("ollama", into)


def test_a_type_that_holds_itself() -> None:
    schema = schema_for("ollama", Node)
    assert schema["type"] == "object"
    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert schema["$defs"]["Node"]["properties"] == schema["properties"]


def test_the_libraries_schemas_in_a_dataclass() -> None:
    @dataclasses.dataclass
    class Both:
        order: Order
        struct: Struct

    Both.__annotations__.update(order=Order, struct=Struct)
    schema = schema_for("ollama", Both)
    assert schema["$defs"].keys() == {"Item", "Struct"}
    assert schema["properties"]["struct"] == {"$ref": "#/$defs/Struct"}


@pytest.mark.parametrize("into", [list[Item], str, int | None, list])
def test_the_answer_must_be_an_object(into: Any) -> None:
    with pytest.raises(ValueError, match="into: the answer must be an object"):
        body_for("openai", into)


def test_any_object_may_be_asked_for() -> None:
    assert schema_for("openai", dict) == {
        "name": "dict", "schema": {"type": "object"}, "strict": False,
    }  # fmt: skip


# ---- the answer ----------------------------------------------------------------------------------

ANSWER = {"city": "Ulm", "days": [{"high": 21}, {"high": 18.5, "rain": True}]}
EXPECTED = Report("Ulm", [Day(21.0), Day(18.5, True)])


@pytest.mark.parametrize(
    "provider", ["openai", "openai-responses", "anthropic", "gemini", "ollama", "cohere", "mistral"]
)
def test_the_answer_of_each_provider(serve: Serve, connect: Connect, provider: str) -> None:
    client = connect(serve(json.dumps(ANSWER)).base_url(provider), provider=provider)
    stream = client.stream(model="m", messages=MESSAGES, into=Report)
    values = list(stream.partials())
    assert values[-1] == EXPECTED
    assert len(values) > 5
    assert stream.result(Report) == EXPECTED


def test_the_answer_as_a_tool_call(serve: Serve, connect: Connect) -> None:
    answer = mock.Answer("Let me see: {", tool_calls=[mock.ToolCall(TOOL, ANSWER)])
    client = connect(
        serve(answer).base_url("bedrock"), provider="bedrock", options={"region": "eu-west-1"}
    )
    stream = client.stream(model="m", messages=MESSAGES, into=Report)
    assert list(stream.partials())[-1] == EXPECTED
    assert stream.result(Report) == EXPECTED
    stream = client.stream(model="m", messages=MESSAGES, into=Report)
    assert list(stream.items(Day, "days")) == EXPECTED.days
