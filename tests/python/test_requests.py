"""What each provider is sent: one neutral question in each one's own form, where, by which key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

import millstream
from answers import DONE, MESSAGES, chat, chunked, eventually
from conftest import Connect, Serve, timeout
from millstream import _core, mock
from millstream._providers import PROVIDERS, openai_chat
from millstream._providers._neutral import Ask

KEY = "key-7f3a9c"
PNG = b"\x89PNG\r\n"
PNG_BASE64 = "iVBORw0K"
DATA_URL = f"data:image/png;base64,{PNG_BASE64}"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

# What each provider's client needs so that it can be made without the machine's environment.
OPTIONS: dict[str, dict[str, str]] = {
    "azure": {"endpoint": "https://res.openai.azure.com"},
    "azure-responses": {"endpoint": "https://res.openai.azure.com"},
    "bedrock": {"region": "eu-west-1"},
    "bedrock-mantle": {"region": "eu-west-1"},
    "vertex": {"project": "p1", "location": "europe-west4"},
    "snowflake": {"account": "org-acct"},
}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in PROVIDERS.values():
        for names in (provider.key_variables, *provider.options.values()):
            for name in names:
                monkeypatch.delenv(name, raising=False)


def client_of(provider: str, **given: Any) -> millstream.Client:
    return millstream.Client(
        provider, **{"api_key": KEY, "options": OPTIONS.get(provider, {}), **given}
    )


def body_for(provider: str, **arguments: Any) -> Any:
    """The JSON that this question becomes; from the bytes that would be sent."""
    request = client_of(provider).request_for(
        **{"model": "m", "messages": [{"role": "user", "content": "Hi"}], **arguments}
    )
    assert request.body is not None
    return json.loads(request.body)


# ---- the short way of a question that goes out as it is ------------------------------------------

NOT_GIVEN = dict.fromkeys(
    ["system", "tools", "tool_choice", "max_tokens", "temperature", "top_p", "stop", "into"]
)
HELLO = {"role": "user", "content": "Hi"}


def both_ways(provider: str, **given: Any) -> tuple[Any, Any]:
    """The JSON of a question on the short way and on the long one."""
    arguments = {"model": "m", "messages": [HELLO], "params": {}, **NOT_GIVEN, **given}
    asked = PROVIDERS[provider]
    return openai_chat.plain(arguments, asked), openai_chat.body(Ask(**arguments), asked)


@pytest.mark.parametrize("provider", [n for n, p in PROVIDERS.items() if p.family == "openai_chat"])
@pytest.mark.parametrize(
    "messages",
    [[], [HELLO], [{"role": "system", "content": ""}, HELLO, {"content": "x", "name": "n"}]],
)
def test_a_plain_question_is_what_the_long_way_makes_of_it(provider: str, messages: Any) -> None:
    short, long = both_ways(provider, messages=messages)
    assert json.dumps(short) == json.dumps(long)
    assert short["messages"] is not messages


@pytest.mark.parametrize(
    "given",
    [
        *({name: value} for name, value in [
            ("system", "s"), ("tools", []), ("tool_choice", "auto"), ("max_tokens", 0),
            ("temperature", 0.0), ("top_p", 0.0), ("stop", ""), ("params", {"seed": 0}),
        ]),
        {"messages": (HELLO,)},
        {"messages": [HELLO, {"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        {"messages": [{"role": "assistant", "content": None}]},
        {"messages": [{"role": "assistant", "content": "x", "tool_calls": []}]},
    ],
)  # fmt: skip
def test_any_other_question_goes_the_long_way(given: dict[str, Any]) -> None:
    assert both_ways("openai", **given)[0] is None


# ---- the neutral question in each provider's form ------------------------------------------------

QUESTION: dict[str, Any] = {
    "model": "m",
    "system": "Be brief.",
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image", "data": PNG, "media_type": "image/png"},
        ]},
        {"role": "assistant", "content": "I look.", "tool_calls": [
            {"id": "c1", "name": "weather", "arguments": '{"city": "Ulm"}'},
            {"id": "c2", "name": "now", "arguments": {}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "tool", "tool_call_id": "c2", "content": "noon"},
        {"role": "user", "content": "And?"},
    ],
    "tools": [
        {"name": "weather", "description": "The weather.", "parameters": SCHEMA},
        {"name": "now"},
    ],
    "tool_choice": "required",
    "max_tokens": 64,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": "END",
}  # fmt: skip
NOTHING = {"type": "object", "properties": {}}

CHAT_MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": DATA_URL}},
    ]},
    {"role": "assistant", "content": "I look.", "tool_calls": [
        {"id": "c1", "type": "function",
         "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}},
        {"id": "c2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
    ]},
    {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    {"role": "tool", "tool_call_id": "c2", "content": "noon"},
    {"role": "user", "content": "And?"},
]  # fmt: skip
CHAT_TOOLS = [
    {"type": "function",
     "function": {"name": "weather", "description": "The weather.", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "now", "parameters": NOTHING}},
]  # fmt: skip
CHAT = {
    "model": "m",
    "stream": True,
    "messages": CHAT_MESSAGES,
    "tools": CHAT_TOOLS,
    "tool_choice": "required",
    "max_tokens": 64,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": "END",
}
ANTHROPIC = {
    "model": "m",
    "stream": True,
    "system": "Be brief.",
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image",
             "source": {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}},
        ]},
        {"role": "assistant", "content": [
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Ulm"}},
            {"type": "tool_use", "id": "c2", "name": "now", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": "rain"},
            {"type": "tool_result", "tool_use_id": "c2", "content": "noon"},
        ]},
        {"role": "user", "content": "And?"},
    ],
    "tools": [
        {"name": "weather", "description": "The weather.", "input_schema": SCHEMA},
        {"name": "now", "input_schema": NOTHING},
    ],
    "tool_choice": {"type": "any"},
    "max_tokens": 64,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop_sequences": ["END"],
}  # fmt: skip
RESPONSES = {
    "model": "m",
    "stream": True,
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": DATA_URL},
        ]},
        {"role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "c1", "name": "weather",
         "arguments": '{"city": "Ulm"}'},
        {"type": "function_call", "call_id": "c2", "name": "now", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        {"type": "function_call_output", "call_id": "c2", "output": "noon"},
        {"role": "user", "content": "And?"},
    ],
    "tools": [
        {"type": "function", "name": "weather", "description": "The weather.",
         "parameters": SCHEMA, "strict": False},
        {"type": "function", "name": "now", "parameters": NOTHING, "strict": False},
    ],
    "tool_choice": "required",
    "max_output_tokens": 64,
    "temperature": 0.5,
    "top_p": 0.9,
}  # fmt: skip
GEMINI = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {"role": "user", "parts": [
            {"text": "What is this?"},
            {"inlineData": {"mimeType": "image/png", "data": PNG_BASE64}},
        ]},
        {"role": "model", "parts": [
            {"text": "I look."},
            {"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Ulm"}}},
            {"functionCall": {"id": "c2", "name": "now", "args": {}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse":
             {"id": "c1", "name": "weather", "response": {"output": "rain"}}},
            {"functionResponse": {"id": "c2", "name": "now", "response": {"output": "noon"}}},
        ]},
        {"role": "user", "parts": [{"text": "And?"}]},
    ],
    "tools": [{"functionDeclarations": [
        {"name": "weather", "description": "The weather.", "parametersJsonSchema": SCHEMA},
        {"name": "now", "parametersJsonSchema": NOTHING},
    ]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    "generationConfig": {
        "maxOutputTokens": 64, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"],
    },
}  # fmt: skip
OLLAMA = {
    "model": "m",
    "stream": True,
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is this?", "images": [PNG_BASE64]},
        {"role": "assistant", "content": "I look.", "tool_calls": [
            {"function": {"name": "weather", "arguments": {"city": "Ulm"}}},
            {"function": {"name": "now", "arguments": {}}},
        ]},
        {"role": "tool", "tool_name": "weather", "content": "rain"},
        {"role": "tool", "tool_name": "now", "content": "noon"},
        {"role": "user", "content": "And?"},
    ],
    "tools": CHAT_TOOLS,
    "options": {"num_predict": 64, "temperature": 0.5, "top_p": 0.9, "stop": ["END"]},
}  # fmt: skip
COHERE = {
    "model": "m",
    "stream": True,
    "messages": CHAT_MESSAGES,
    "tools": CHAT_TOOLS,
    "tool_choice": "REQUIRED",
    "max_tokens": 64,
    "temperature": 0.5,
    "p": 0.9,
    "stop_sequences": ["END"],
}
BEDROCK = {
    "system": [{"text": "Be brief."}],
    "messages": [
        {"role": "user", "content": [
            {"text": "What is this?"},
            {"image": {"format": "png", "source": {"bytes": PNG_BASE64}}},
        ]},
        {"role": "assistant", "content": [
            {"text": "I look."},
            {"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Ulm"}}},
            {"toolUse": {"toolUseId": "c2", "name": "now", "input": {}}},
        ]},
        {"role": "user", "content": [
            {"toolResult": {"toolUseId": "c1", "content": [{"text": "rain"}]}},
            {"toolResult": {"toolUseId": "c2", "content": [{"text": "noon"}]}},
            {"text": "And?"},
        ]},
    ],
    "toolConfig": {
        "tools": [
            {"toolSpec": {"name": "weather", "description": "The weather.",
                          "inputSchema": {"json": SCHEMA}}},
            {"toolSpec": {"name": "now", "inputSchema": {"json": NOTHING}}},
        ],
        "toolChoice": {"any": {}},
    },
    "inferenceConfig": {
        "maxTokens": 64, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"],
    },
}  # fmt: skip

# provider: (what the question becomes, arguments that it does not have)
BODIES: dict[str, tuple[Mapping[str, Any], set[str]]] = {
    "openai": ({**CHAT, "stream_options": {"include_usage": True}}, set()),
    "groq": ({**CHAT, "stream_options": {"include_usage": True}}, set()),
    "together": (CHAT, set()),
    "mistral": ({**CHAT, "tool_choice": "any"}, set()),
    "openai-responses": (RESPONSES, {"stop"}),
    "anthropic": (ANTHROPIC, set()),
    "gemini": (GEMINI, set()),
    "vertex": (GEMINI, set()),
    "ollama": (OLLAMA, {"tool_choice"}),
    "cohere": (COHERE, set()),
    "bedrock": (BEDROCK, set()),
}
FAMILIES = [name for name in BODIES if name not in ("groq", "together", "vertex")]


@pytest.mark.parametrize("provider", BODIES)
def test_the_neutral_question_becomes_the_providers(provider: str) -> None:
    expected, without = BODIES[provider]
    question = {name: value for name, value in QUESTION.items() if name not in without}
    before = repr(question)
    assert body_for(provider, **question) == expected
    assert repr(question) == before, "the caller's own objects were changed"


@pytest.mark.parametrize("provider", FAMILIES)
def test_the_least_question_adds_nothing(provider: str) -> None:
    body = body_for(provider)
    told = {
        "openai": {"model", "messages", "stream", "stream_options"},
        "openai-responses": {"model", "input", "stream"},
        "anthropic": {"model", "messages", "stream", "max_tokens"},
        "gemini": {"contents"},
        "bedrock": {"messages"},
    }
    assert body.keys() == told.get(provider, {"model", "messages", "stream"})
    if provider == "anthropic":
        assert body["max_tokens"] == 4096


@pytest.mark.parametrize("provider", FAMILIES)
def test_openais_form_is_the_same_question(provider: str) -> None:
    """Who comes from OpenAI's client changes nothing but the provider."""
    expected, without = BODIES[provider]
    theirs = {**CHAT, "tool_choice": "required"}
    question = {name: value for name, value in theirs.items() if name not in {"stream", *without}}
    body = body_for(provider, **question)
    if provider == "openai-responses":  # system messages are items there, and stay in place
        assert body["input"].pop(0) == {"role": "system", "content": "Be brief."}
        body["instructions"] = "Be brief."
    assert body == expected


@pytest.mark.parametrize("provider", FAMILIES)
def test_a_message_given_back_is_the_assistants_turn(
    serve: Serve, connect: Connect, provider: str
) -> None:
    """A conversation goes on, with another provider too."""
    calls = [mock.ToolCall("weather", '{"city": "Ulm"}', id="c1"), mock.ToolCall("now", id="c2")]
    answer = connect(serve(mock.Answer("I look.", tool_calls=calls)))
    message = answer.stream(model="m", messages=MESSAGES).result()
    assert len(message.tool_calls) == 2
    expected, without = BODIES[provider]
    question = {name: value for name, value in QUESTION.items() if name not in without}
    question["messages"] = [QUESTION["messages"][0], message, *QUESTION["messages"][2:]]
    assert body_for(provider, **question) == expected


TEXT_TURNS = {
    "openai-responses": {"role": "assistant", "content": "Hello"},
    "gemini": {"role": "model", "parts": [{"text": "Hello"}]},
    "bedrock": {"role": "assistant", "content": [{"text": "Hello"}]},
    "anthropic": {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
}
CALL_TURNS = {
    "openai": {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    "openai-responses": {
        "type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    "anthropic": {"role": "assistant", "content": [
        {"type": "tool_use", "id": "c1", "name": "f", "input": {}}]},
    "gemini": {"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "f", "args": {}}}]},
    "ollama": {"role": "assistant", "content": "", "tool_calls": [
        {"function": {"name": "f", "arguments": {}}}]},
    "bedrock": {"role": "assistant", "content": [
        {"toolUse": {"toolUseId": "c1", "name": "f", "input": {}}}]},
}  # fmt: skip


def message_of(text: str = "", *calls: millstream.ToolCall) -> millstream.Message:
    fields = None, None, "assistant", text, "", "", calls, None, None, None, (), None
    return millstream.Message(fields)


def turns(body: dict[str, Any]) -> list[Any]:
    """The conversation in a body, whatever it is called there."""
    (found,) = (body[name] for name in ("messages", "contents", "input") if name in body)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("provider", FAMILIES)
def test_messages_of_text_or_calls_alone(provider: str) -> None:
    user = {"role": "user", "content": "Hi"}
    call = millstream.ToolCall((0, "c1", "f", ""))
    said = turns(body_for(provider, messages=[user, message_of("Hello"), user]))[1]
    called = turns(body_for(provider, messages=[user, message_of("", call), user]))[1]
    text = TEXT_TURNS.get(provider, {"role": "assistant", "content": "Hello"})
    assert said in (text, {"role": "assistant", "content": "Hello"})
    assert called == CALL_TURNS.get(provider, CALL_TURNS["openai"])
    with pytest.raises(ValueError, match=r"^messages\[1\]: .*empty"):
        body_for(provider, messages=[user, message_of()])


@pytest.mark.parametrize("provider", FAMILIES)
def test_a_refusal_is_what_the_assistant_said(provider: str) -> None:
    fields = None, None, "assistant", "", "", "No.", (), None, None, None, (), None
    refused = millstream.Message(fields)
    body = body_for(provider, messages=[*MESSAGES, refused, *MESSAGES])
    assert "No." in json.dumps(turns(body)[1])


TEXT_PART = {"type": "text", "text": "I look."}
SIGNED_TURNS: dict[str, tuple[str, list[Any], list[Any]]] = {
    # the wire format, the content of a turn with a call and of one without
    "anthropic": (
        "anthropic-messages",
        [{"type": "thinking", "thinking": "Hm", "signature": "S"}, TEXT_PART,
         {"type": "tool_use", "id": "c1", "name": "f", "input": {}}],
        [{"type": "thinking", "thinking": "Hm", "signature": "S"}, TEXT_PART],
    ),
    "bedrock": (
        "bedrock-converse",
        [{"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "S"}}},
         {"text": "I look."}, {"toolUse": {"toolUseId": "c1", "name": "f", "input": {}}}],
        [{"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "S"}}},
         {"text": "I look."}],
    ),
    "gemini": (
        "gemini",
        [{"text": "I look."},
         {"functionCall": {"id": "c1", "name": "f", "args": {}}, "thoughtSignature": "S"}],
        [{"text": "I look.", "thoughtSignature": "S"}],
    ),
}  # fmt: skip


def signed_message(format: str | None, *calls: millstream.ToolCall) -> millstream.Message:
    fields = None, None, "assistant", "I look.", "Hm", "", calls, None, None, None, (), "S"
    return millstream.Message(fields, {"format": format})


@pytest.mark.parametrize("provider", SIGNED_TURNS)
def test_signed_reasoning_goes_back_to_who_signed_it(provider: str) -> None:
    format, with_call, without = SIGNED_TURNS[provider]
    call = millstream.ToolCall((0, "c1", "f", ""))
    for message, expected in (
        (signed_message(format, call), with_call),
        (signed_message(format), without),
    ):
        turn = turns(body_for(provider, messages=[*MESSAGES, message, *MESSAGES]))[1]
        assert turn.get("content", turn.get("parts")) == expected


@pytest.mark.parametrize("provider", FAMILIES)
def test_signed_reasoning_goes_to_nobody_else(provider: str) -> None:
    """Another provider would refuse the signature, and with it the question."""
    plain = turns(body_for(provider, messages=[message_of("I look.")]))
    for format in {None, "cohere-v2-chat", *(each[0] for each in SIGNED_TURNS.values())}:
        if format == PROVIDERS[provider].format and provider in SIGNED_TURNS:
            continue
        said = turns(body_for(provider, messages=[signed_message(format)]))
        assert said == plain, format


# ---- system --------------------------------------------------------------------------------------

HOISTED: dict[str, tuple[str, Any]] = {
    "anthropic": ("system", [
        {"type": "text", "text": "A"}, {"type": "text", "text": "B"}, {"type": "text", "text": "C"},
    ]),
    "gemini": ("systemInstruction", {"parts": [{"text": "A"}, {"text": "B"}, {"text": "C"}]}),
    "bedrock": ("system", [{"text": "A"}, {"text": "B"}, {"text": "C"}]),
}  # fmt: skip


@pytest.mark.parametrize("provider", HOISTED)
def test_system_messages_go_before_the_conversation(provider: str) -> None:
    body = body_for(
        provider,
        system=[{"type": "text", "text": "A"}],
        messages=[
            {"role": "system", "content": "B"},
            {"role": "user", "content": "Hi"},
            {"role": "developer", "content": [{"type": "text", "text": "C"}]},
        ],
    )
    name, expected = HOISTED[provider]
    assert body[name] == expected
    assert len(turns(body)) == 1


@pytest.mark.parametrize("provider", ["openai", "mistral", "cohere", "ollama"])
def test_system_is_the_first_message(provider: str) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "system", "content": "B"}]
    body = body_for(provider, system="A", messages=messages)
    assert body["messages"] == [{"role": "system", "content": "A"}, *messages]


# ---- the choice of tools -------------------------------------------------------------------------

NO = object()  # not in the body
CHOICES: dict[str, tuple[str, list[Any]]] = {
    # what "auto", "none", "required" and {"name": "f"} become
    "openai": ("tool_choice", [
        "auto", "none", "required", {"type": "function", "function": {"name": "f"}}]),
    "mistral": ("tool_choice", [
        "auto", "none", "any", {"type": "function", "function": {"name": "f"}}]),
    "openai-responses": ("tool_choice", [
        "auto", "none", "required", {"type": "function", "name": "f"}]),
    "anthropic": ("tool_choice", [
        {"type": "auto"}, {"type": "none"}, {"type": "any"}, {"type": "tool", "name": "f"}]),
    "gemini": ("toolConfig", [
        {"functionCallingConfig": {"mode": "AUTO"}}, {"functionCallingConfig": {"mode": "NONE"}},
        {"functionCallingConfig": {"mode": "ANY"}},
        {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}]),
    "cohere": ("tool_choice", [NO, "NONE", "REQUIRED", ValueError]),
    "ollama": ("tool_choice", [NO, NO, ValueError, ValueError]),
}  # fmt: skip
WORDS: list[Any] = ["auto", "none", "required", {"name": "f"}]
TOOLS = [{"name": "f", "parameters": NOTHING}]


@pytest.mark.parametrize("at", range(4), ids=["auto", "none", "required", "name"])
@pytest.mark.parametrize("provider", CHOICES)
def test_the_choice_of_tools(provider: str, at: int) -> None:
    name, expected = CHOICES[provider]
    if expected[at] is ValueError:
        with pytest.raises(ValueError, match=rf"^tool_choice: {provider} "):
            body_for(provider, tools=TOOLS, tool_choice=WORDS[at])
        return
    body = body_for(provider, tools=TOOLS, tool_choice=WORDS[at])
    assert body.get(name, NO) == expected[at]
    offered = provider != "ollama" or WORDS[at] != "none"
    assert ("tools" in body) == offered


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("auto", {"auto": {}}), ("required", {"any": {}}), ({"name": "f"}, {"tool": {"name": "f"}})],
)
def test_the_choice_of_tools_for_bedrock(choice: Any, expected: Any) -> None:
    assert body_for("bedrock", tools=TOOLS, tool_choice=choice)["toolConfig"]["toolChoice"] == (
        expected
    )
    assert "toolConfig" not in body_for("bedrock", tools=TOOLS, tool_choice="none")


@pytest.mark.parametrize(
    "provider", [name for name in FAMILIES if name not in ("cohere", "ollama")]
)
def test_openais_choice_of_one_tool_is_understood(provider: str) -> None:
    theirs = {"type": "function", "function": {"name": "f"}}
    neutral = body_for(provider, tools=TOOLS, tool_choice={"name": "f"})
    assert body_for(provider, tools=TOOLS, tool_choice=theirs) == neutral


# ---- images --------------------------------------------------------------------------------------

URL = "https://host/cat.png"
IMAGES: dict[str, Any] = {
    # what an image at a URL becomes
    "openai": {"type": "image_url", "image_url": {"url": URL}},
    "mistral": {"type": "image_url", "image_url": {"url": URL}},
    "cohere": {"type": "image_url", "image_url": {"url": URL}},
    "openai-responses": {"type": "input_image", "image_url": URL},
    "anthropic": {"type": "image", "source": {"type": "url", "url": URL}},
    "gemini": {"fileData": {"fileUri": URL}},
    "ollama": ValueError,
    "bedrock": ValueError,
}
FORMS: dict[str, dict[str, Any]] = {
    "bytes": {"type": "image", "data": PNG, "media_type": "image/png"},
    "base64": {"type": "image", "data": PNG_BASE64, "media_type": "image/png"},
    "a data URL": {"type": "image", "url": DATA_URL},
    "OpenAI's": {"type": "image_url", "image_url": {"url": DATA_URL}},
}


def picture(provider: str, part: Mapping[str, Any]) -> Any:
    """The turn that shows this image, and its last part."""
    turn = turns(body_for(provider, messages=[{"role": "user", "content": [part]}]))[0]
    return turn["images"] if "images" in turn else (turn.get("parts") or turn["content"])[-1]


@pytest.mark.parametrize("provider", IMAGES)
def test_an_image_at_a_url(provider: str) -> None:
    for part in ({"type": "image", "url": URL}, {"type": "image_url", "image_url": {"url": URL}}):
        if IMAGES[provider] is ValueError:
            with pytest.raises(
                ValueError, match=rf"^messages\[0\]\.content\[0\]: {provider} .*URL"
            ):
                picture(provider, part)
        else:
            assert picture(provider, part) == IMAGES[provider]


@pytest.mark.parametrize("provider", FAMILIES)
def test_the_bytes_of_an_image_in_every_form(provider: str) -> None:
    asked = {name: body_for(provider, messages=[{"role": "user", "content": [part]}])
             for name, part in FORMS.items()}  # fmt: skip
    assert PNG_BASE64 in json.dumps(asked["bytes"])
    assert all(body == asked["bytes"] for body in asked.values())


def test_the_media_type_of_a_url_and_the_detail_are_kept() -> None:
    part = {"type": "image", "url": URL, "media_type": "image/png", "detail": "low"}
    assert picture("gemini", part) == {"fileData": {"fileUri": URL, "mimeType": "image/png"}}
    assert picture("openai", part)["image_url"] == {"url": URL, "detail": "low"}
    assert picture("openai-responses", part)["detail"] == "low"


# ---- what is in the provider's form already ------------------------------------------------------

OWN: dict[str, dict[str, Any]] = {
    "openai": {
        "messages": [
            {"role": "developer", "content": "A", "name": "x"},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                {"type": "new", "of": "tomorrow"}]},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}},
                {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "x"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}]},
            {"role": "function", "name": "f", "content": "old"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f"}, "extra": 1},
            {"type": "custom", "custom": {"name": "g"}}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
    },
    "openai-responses": {
        "messages": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "A"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"role": "user", "content": [{"type": "input_file", "file_id": "f1"}]},
            {"type": "function_call_output", "call_id": "c1", "output": "r"},
        ],
        "tools": [{"type": "web_search"}],
        "tool_choice": {"type": "web_search"},
    },
    "anthropic": {
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "A", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "file", "file_id": "f1"}},
                {"type": "document", "source": {"type": "url", "url": URL}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "s"},
                {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": [1]}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "r", "is_error": True}]},
        ],
        "tools": [
            {"name": "f", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}},
            {"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    },
    "gemini": {
        "messages": [
            {"role": "user", "parts": [{"text": "A"}, {"fileData": {"fileUri": "gs://b/c"}}]},
            {"role": "model", "parts": [
                {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "s"}]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "f", "response": {"x": 1}}}]},
        ],
        "tools": [{"googleSearch": {}}],
    },
    "ollama": {
        "messages": [
            {"role": "user", "content": "A", "images": ["AA=="]},
            {"role": "assistant", "content": "", "thinking": "Hm", "tool_calls": [
                {"function": {"name": "f", "arguments": {"a": 1}}}]},
            {"role": "tool", "tool_name": "f", "content": "r"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": NOTHING}}],
    },
    "cohere": {
        "messages": [
            {"role": "assistant", "tool_plan": "P", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": [
                {"type": "document", "document": {"data": "r"}}]},
        ],
        "tool_choice": "REQUIRED",
    },
    "bedrock": {
        "messages": [
            {"role": "user", "content": [
                {"text": "A"}, {"document": {"name": "d", "format": "txt"}},
                {"cachePoint": {"type": "default"}}]},
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "s"}}},
                {"toolUse": {"toolUseId": "c1", "name": "f", "input": {}}}]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "c1", "content": [{"json": {"x": 1}}]}}]},
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("provider", OWN)
def test_what_is_in_the_providers_form_is_left_alone(provider: str) -> None:
    body = body_for(provider, **OWN[provider])
    assert turns(body) == OWN[provider]["messages"]
    for name in OWN[provider].keys() - {"messages"}:
        assert body[name] == OWN[provider][name]


def test_openais_form_goes_out_byte_for_byte() -> None:
    given = OWN["openai"]["messages"]
    request = client_of("openai").request_for(model="m", messages=given)
    assert request.json["messages"] == given
    written = json.dumps(given, separators=(",", ":"), ensure_ascii=False).encode()
    assert request.body is not None
    assert written in request.body


def test_bedrocks_own_tools_and_choice() -> None:
    tools = [{"toolSpec": {"name": "f"}}, {"cachePoint": {"type": "default"}}]
    body = body_for("bedrock", tools=tools, tool_choice={"any": {}})
    assert body["toolConfig"] == {"tools": tools, "toolChoice": {"any": {}}}


def test_geminis_own_choice_and_declared_tools() -> None:
    choice = {"functionCallingConfig": {"mode": "VALIDATED"}}
    body = body_for("gemini", tools=[{"googleSearch": {}}, *TOOLS], tool_choice=choice)
    assert body["toolConfig"] == choice
    assert body["tools"] == [
        {"functionDeclarations": [{"name": "f", "parametersJsonSchema": NOTHING}]},
        {"googleSearch": {}},
    ]


@pytest.mark.parametrize("provider", FAMILIES)
def test_params_go_through_as_they_are(provider: str) -> None:
    extra = {"thinking": {"type": "enabled", "budget": [1, None]}, "ünï": "x"}
    assert body_for(provider, **extra).items() >= extra.items()


@pytest.mark.parametrize(
    ("provider", "name", "given", "expected"),
    [
        ("gemini", "generationConfig", {"topK": 3, "temperature": 1},
         {"maxOutputTokens": 9, "topK": 3, "temperature": 1}),
        ("ollama", "options", {"num_ctx": 3, "temperature": 1},
         {"num_predict": 9, "num_ctx": 3, "temperature": 1}),
        ("bedrock", "inferenceConfig", {"temperature": 1}, {"maxTokens": 9, "temperature": 1}),
    ],
)  # fmt: skip
def test_settings_of_the_providers_own_join_ours(
    provider: str, name: str, given: Any, expected: Any
) -> None:
    body = body_for(provider, max_tokens=9, temperature=0.5, **{name: given})
    assert body[name] == expected


@pytest.mark.parametrize("provider", ["mistral", "together"])
def test_usage_is_not_asked_where_the_field_is_unknown(provider: str) -> None:
    assert "stream_options" not in body_for(provider)
    given = {"include_usage": True}
    assert body_for(provider, stream_options=given)["stream_options"] == given


def test_tool_results_in_other_shapes() -> None:
    user = {"role": "user", "content": "Hi"}
    by_name = {"role": "tool", "name": "f", "content": [{"type": "text", "text": "r"}]}
    assert turns(body_for("ollama", messages=[user, by_name]))[1] == {
        "role": "tool", "tool_name": "f", "content": "r",
    }  # fmt: skip
    (part,) = turns(body_for("gemini", messages=[user, by_name]))[1]["parts"]
    assert part == {"functionResponse": {"name": "f", "response": {"output": "r"}}}
    failed = {"role": "tool", "tool_call_id": "c1", "content": "no", "is_error": True}
    assert turns(body_for("anthropic", messages=[user, failed]))[1]["content"] == [
        {"type": "tool_result", "tool_use_id": "c1", "content": "no", "is_error": True}
    ]
    assert turns(body_for("bedrock", messages=[failed]))[0]["content"] == [
        {"toolResult": {"toolUseId": "c1", "content": [{"text": "no"}], "status": "error"}}
    ]
    shown = {"role": "tool", "tool_call_id": "c1", "content": [FORMS["bytes"]]}
    (block,) = turns(body_for("anthropic", messages=[user, shown]))[1]["content"]
    assert block["content"][0]["source"]["data"] == PNG_BASE64


# ---- wrong arguments -----------------------------------------------------------------------------

HI = {"role": "user", "content": "Hi"}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}


def user(part: Any) -> dict[str, Any]:
    return {"messages": [HI, {"role": "user", "content": [HI["content"], part]}]}


def called(**call: Any) -> dict[str, Any]:
    return {"messages": [HI, {"role": "assistant", "tool_calls": [call]}]}


WRONG: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    # provider, arguments, exception, what its text begins with
    ("openai", {"messages": [HI, 7]}, TypeError, r"messages\[1\]: "),
    ("openai", {"messages": HI}, TypeError, "messages: "),
    ("openai", {"messages": message_of("x")}, TypeError, "messages: "),
    ("openai", {"system": 7}, TypeError, "system: "),
    ("openai", {"tools": {"name": "f"}}, TypeError, "tools: "),
    ("openai", {"tools": ["f"]}, TypeError, r"tools\[0\]: "),
    ("openai", {"tools": [{"name": 7}]}, TypeError, r'tools\[0\]: "name"'),
    ("openai", {"tool_choice": 7}, TypeError, "tool_choice: "),
    ("openai", {"max_tokens": "9"}, TypeError, "max_tokens: "),
    ("openai", {"max_tokens": 9.5}, TypeError, "max_tokens: "),
    ("openai", {"max_tokens": True}, TypeError, "max_tokens: "),
    ("openai", {"temperature": "hot"}, TypeError, "temperature: "),
    ("openai", {"top_p": [1]}, TypeError, "top_p: "),
    ("openai", {"stop": 7}, TypeError, "stop: "),
    ("openai", {"stop": ["a", 7]}, TypeError, "stop: "),
    ("openai", {"stream": False}, ValueError, "stream: "),
    ("openai", user(7), TypeError, r"messages\[1\]\.content\[1\]: "),
    ("openai", user({"type": "image", "data": PNG}), ValueError, r".*content\[1\]: .*media_type"),
    ("openai", user({"type": "image", "data": 7, "media_type": "x/y"}), TypeError, r".*\[1\]: "),
    ("openai", user({"type": "image", "url": 7}), TypeError, r'.*content\[1\]: "url"'),
    ("openai", user({"type": "image", "url": "data:,x"}), ValueError, r".*content\[1\]: .*base64"),
    ("openai", called(id="c", name="f", arguments=[1]), TypeError, r".*\.tool_calls\[0\]: arg"),
    ("openai", called(id="c", arguments="{}"), TypeError, r'.*\.tool_calls\[0\]: "name"'),
    ("anthropic", called(id="c", name="f", arguments="{"), ValueError, r".*\[0\]: .* not JSON"),
    ("anthropic", called(id="c", name="f", arguments="[1]"), ValueError, r".*no JSON object"),
    ("anthropic", user(AUDIO), ValueError, r".*\.content\[1\]: anthropic .*input_audio"),
    ("anthropic", user({"text": "x"}), ValueError, r".*\.content\[1\]: anthropic "),
    ("anthropic", {"messages": [{"role": "bot"}]}, ValueError, r"messages\[0\]: role"),
    ("anthropic", {"tool_choice": "any"}, ValueError, "tool_choice: "),
    ("openai-responses", user(AUDIO), ValueError, r".*\.content\[1\]: openai-responses "),
    ("openai-responses", {"stop": "x"}, ValueError, "stop: openai-responses "),
    ("openai-responses", {"messages": [{"role": "bot"}]}, ValueError, r"messages\[0\]: role"),
    ("openai-responses", {"system": [AUDIO]}, ValueError, r"system\[0\]: "),
    ("gemini", user(AUDIO), ValueError, r".*\.content\[1\]: gemini "),
    ("gemini", {"messages": [{"role": "bot"}]}, ValueError, r"messages\[0\]: role"),
    ("gemini", {"messages": [{"role": "tool", "tool_call_id": "c9", "content": "x"}]}, ValueError,
     r"messages\[0\]: .*'c9'.*name"),
    ("gemini", {"model": "../secrets"}, ValueError, "model: "),
    ("ollama", user(AUDIO), ValueError, r".*\.content\[1\]: ollama "),
    ("ollama", {"messages": [{"role": "tool", "content": "x"}]}, ValueError, r"messages\[0\]: "),
    ("cohere", user(AUDIO), ValueError, r".*\.content\[1\]: cohere "),
    ("bedrock", user(AUDIO), ValueError, r".*\.content\[1\]: bedrock "),
    ("bedrock", {"messages": [{"role": "bot"}]}, ValueError, r"messages\[0\]: role"),
    ("bedrock", {"model": ".."}, ValueError, "model: "),
    ("bedrock", {"model": ""}, ValueError, "model: "),
    ("azure", {"model": 7}, TypeError, "model: "),
]  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "arguments", "error", "begins"), WRONG, ids=[f"{w[0]}-{w[3]}" for w in WRONG]
)
def test_a_wrong_argument_is_named(
    provider: str, arguments: dict[str, Any], error: type[Exception], begins: str
) -> None:
    with pytest.raises(error, match=f"^{begins}") as caught:
        body_for(provider, **arguments)
    assert type(caught.value) is error


# ---- where to, and with which key ----------------------------------------------------------------

BEARER = {"Authorization": "Bearer ***"}
PLACES: dict[str, tuple[str, dict[str, str], str]] = {
    # URL, headers beside Content-Type, format of the answer
    "openai": ("https://api.openai.com/v1/chat/completions", BEARER, "openai-chat"),
    "openai-responses": ("https://api.openai.com/v1/responses", BEARER, "openai-responses"),
    "azure": ("https://res.openai.azure.com/openai/v1/chat/completions", {"api-key": "***"},
              "openai-chat"),
    "azure-responses": ("https://res.openai.azure.com/openai/v1/responses", {"api-key": "***"},
                        "openai-responses"),
    "openrouter": ("https://openrouter.ai/api/v1/chat/completions", BEARER, "openai-chat"),
    "openrouter-responses": ("https://openrouter.ai/api/v1/responses", BEARER, "openai-responses"),
    "groq": ("https://api.groq.com/openai/v1/chat/completions", BEARER, "openai-chat"),
    "deepseek": ("https://api.deepseek.com/chat/completions", BEARER, "openai-chat"),
    "xai": ("https://api.x.ai/v1/chat/completions", BEARER, "openai-chat"),
    "xai-responses": ("https://api.x.ai/v1/responses", BEARER, "openai-responses"),
    "perplexity": ("https://api.perplexity.ai/chat/completions", BEARER, "openai-chat"),
    "together": ("https://api.together.xyz/v1/chat/completions", BEARER, "openai-chat"),
    "huggingface": ("https://router.huggingface.co/v1/chat/completions", BEARER, "openai-chat"),
    "alibaba": ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions", BEARER,
                "openai-chat"),
    "zai": ("https://api.z.ai/api/paas/v4/chat/completions", BEARER, "openai-chat"),
    "writer": ("https://api.writer.com/v1/chat", BEARER, "openai-chat"),
    "crusoe": ("https://api.inference.crusoecloud.com/v1/chat/completions", BEARER, "openai-chat"),
    "snowflake": ("https://org-acct.snowflakecomputing.com/api/v2/cortex/v1/chat/completions",
                  BEARER, "openai-chat"),
    "bedrock-mantle": ("https://bedrock-mantle.eu-west-1.api.aws/v1/responses", BEARER,
                       "openai-responses"),
    "vllm": ("http://localhost:8000/v1/chat/completions", BEARER, "openai-chat"),
    "llama.cpp": ("http://localhost:8080/v1/chat/completions", BEARER, "openai-chat"),
    "lmstudio": ("http://localhost:1234/v1/chat/completions", BEARER, "openai-chat"),
    "lmstudio-responses": ("http://localhost:1234/v1/responses", BEARER, "openai-responses"),
    "gpustack": ("http://localhost/v1/chat/completions", BEARER, "openai-chat"),
    "mistral": ("https://api.mistral.ai/v1/chat/completions", BEARER, "mistral-chat"),
    "ollama": ("http://localhost:11434/api/chat", BEARER, "ollama-chat"),
    "anthropic": ("https://api.anthropic.com/v1/messages",
                  {"anthropic-version": "2023-06-01", "x-api-key": "***"}, "anthropic-messages"),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent"
               "?alt=sse", {"x-goog-api-key": "***"}, "gemini"),
    "vertex": ("https://europe-west4-aiplatform.googleapis.com/v1/projects/p1/locations/"
               "europe-west4/publishers/google/models/m:streamGenerateContent?alt=sse", BEARER,
               "gemini"),
    "cohere": ("https://api.cohere.com/v2/chat", BEARER, "cohere-v2-chat"),
    "bedrock": ("https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/converse-stream", BEARER,
                "bedrock-converse"),
}  # fmt: skip
LOCAL = {"vllm", "llama.cpp", "lmstudio", "lmstudio-responses", "gpustack", "ollama"}


def test_the_table_is_the_registry() -> None:
    assert PLACES.keys() == PROVIDERS.keys()


@pytest.mark.parametrize("provider", PLACES)
def test_where_a_question_goes(provider: str) -> None:
    url, headers, _ = PLACES[provider]
    request = client_of(provider).request_for(model="m", messages=[HI])
    assert (request.method, request.url) == ("POST", url)
    assert request.headers == {"Content-Type": "application/json", **headers}


@pytest.mark.parametrize("provider", PLACES)
def test_the_format_of_the_answer_is_one_that_the_core_knows(provider: str) -> None:
    assert PROVIDERS[provider].format == PLACES[provider][2]
    assert PROVIDERS[provider].format in _core.formats()


@pytest.mark.parametrize("provider", PLACES)
def test_a_key_is_demanded_by_the_providers_own_server(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = PROVIDERS[provider].key_variables
    if provider in LOCAL:
        assert client_of(provider, api_key=None).request_for(model="m", messages=[HI]).headers == {
            "Content-Type": "application/json"
        }
    else:
        with pytest.raises(millstream.AuthenticationError, match=r"^api_key: ") as caught:
            client_of(provider, api_key=None)
        assert all(name in str(caught.value) for name in variables)
    client_of(provider, api_key=None, base_url="http://localhost:1")
    for name in variables:
        with monkeypatch.context() as environment:
            environment.setenv(name, KEY)
            request = client_of(provider, api_key=None).request_for(model="m", messages=[HI])
            assert request.headers.items() >= PLACES[provider][1].items()


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "azure", "bedrock"])
def test_a_header_of_the_callers_lets_in_without_a_key(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PROVIDERS[provider].key_variables:
        monkeypatch.setenv(name, "from-outside")
    headers = {"Authorization": "Bearer entra-token"}
    client = client_of(provider, api_key=None, headers=headers)
    shown = client.request_for(model="m", messages=[HI]).headers
    assert shown["Authorization"] == "Bearer ***"
    assert not {"api-key", "x-api-key", "x-goog-api-key"} & shown.keys()


@pytest.mark.parametrize("provider", PLACES)
def test_the_wire_carries_what_was_shown(serve: Serve, provider: str) -> None:
    server = serve(mock.Error(404))
    client = client_of(
        provider, base_url=server.url, headers={"X-Mine": "1"}, max_retries=0, timeout=timeout()
    )
    shown = client.request_for(model="m", messages=[HI], temperature=0.5)
    with pytest.raises(millstream.NotFound):
        client.stream(model="m", messages=[HI], temperature=0.5).result()
    (request,) = server.requests
    target = request.head.split(b" ", 2)[1].decode()
    assert shown.url == server.url.removesuffix("/v1") + target
    assert request.body == shown.body
    assert request.json() == shown.json
    for name, value in shown.headers.items():
        assert request.headers[name.lower()] == value.replace("***", KEY)


def test_a_version_header_of_the_callers_replaces_ours(serve: Serve) -> None:
    server = serve(mock.Error(404))
    client = client_of(
        "anthropic",
        base_url=server.url,
        headers={"Anthropic-Version": "2099-01-01"},
        max_retries=0,
    )
    with pytest.raises(millstream.NotFound):
        client.stream(model="m", messages=[HI]).result()
    assert server.requests[0].headers["anthropic-version"] == "2099-01-01"


AZURE = "https://res.openai.azure.com"
PATHS: list[tuple[str, dict[str, Any], str, str]] = [
    # provider, client's arguments, model, the URL
    ("azure", {"options": {"endpoint": AZURE, "api_version": "2024-10-21"}}, "my gpt",
     f"{AZURE}/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"),
    ("azure", {"options": {"endpoint": AZURE, "api_version": "preview"}}, "m",
     f"{AZURE}/openai/v1/chat/completions?api-version=preview"),
    ("azure", {"base_url": f"{AZURE}/openai/v1", "options": {}}, "m",
     f"{AZURE}/openai/v1/chat/completions"),
    ("azure", {"base_url": f"{AZURE}/openai/deployments/d", "options": {"api_version": "2024-06-01"}
               }, "m", f"{AZURE}/openai/deployments/d/chat/completions?api-version=2024-06-01"),
    ("azure-responses", {"options": {"endpoint": AZURE, "api_version": "2025-04-01-preview"}}, "m",
     f"{AZURE}/openai/responses?api-version=2025-04-01-preview"),
    ("gemini", {"base_url": "http://h"}, "tunedModels/mine",
     "http://h/tunedModels/mine:streamGenerateContent?alt=sse"),
    ("gemini", {"base_url": "http://h"}, "models/gemini-9 x",
     "http://h/models/gemini-9%20x:streamGenerateContent?alt=sse"),
    ("vertex", {"options": {"project": "p", "location": "global"}}, "m",
     "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google/models/m"
     ":streamGenerateContent?alt=sse"),
    ("vertex", {"base_url": "http://h/v1", "options": {}}, "publishers/meta/models/llama",
     "http://h/v1/publishers/meta/models/llama:streamGenerateContent?alt=sse"),
    ("bedrock", {"base_url": "http://h", "options": {}}, "us.anthropic.claude-v1:0",
     "http://h/model/us.anthropic.claude-v1%3A0/converse-stream"),
    ("bedrock", {"base_url": "http://h", "options": {}}, "arn:aws:bedrock:x:1:inference-profile/y",
     "http://h/model/arn%3Aaws%3Abedrock%3Ax%3A1%3Ainference-profile%2Fy/converse-stream"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "given", "model", "url"), PATHS, ids=[p[3] for p in PATHS])
def test_models_and_versions_in_the_url(
    provider: str, given: dict[str, Any], model: str, url: str
) -> None:
    assert client_of(provider, **given).request_for(model=model, messages=[HI]).url == url


# ---- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "option", "variable"),
    [
        (provider, option, variable)
        for provider in OPTIONS
        for option, variables in PROVIDERS[provider].options.items()
        if f"{{{option}}}" in PROVIDERS[provider].base_url
        for variable in variables
    ],
)
def test_an_address_is_made_of_options_or_the_environment(
    provider: str, option: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = {name: value for name, value in OPTIONS[provider].items() if name != option}
    with pytest.raises(ValueError, match=f"^options: {provider} .*'{option}'"):
        client_of(provider, options=rest)
    monkeypatch.setenv(variable, OPTIONS[provider][option])
    url = client_of(provider, options=rest).request_for(model="m", messages=[HI]).url
    assert url == PLACES[provider][0]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("eu", TypeError),
        ([("region", "eu")], TypeError),
        ({"regoin": "eu"}, TypeError),
        ({"region": 7}, TypeError),
        ({7: "eu"}, TypeError),
    ],
)
def test_a_wrong_option_is_named(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^options: "):
        client_of("bedrock", options=options)
    with pytest.raises(TypeError, match=r"^options: openai has no 'region'"):
        client_of("openai", options={"region": "eu"})


AWS = {"aws_access_key_id": "AKID", "aws_secret_access_key": "s3cr3t", "region": "eu-west-1"}
AWS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKENV",
    "AWS_SECRET_ACCESS_KEY": "s3cr3t-env",
    "AWS_SESSION_TOKEN": "t0k3n-env",
    "AWS_DEFAULT_REGION": "eu-north-1",
}


def authorization(serve: Serve, **given: Any) -> str:
    """The Authorization header on the wire of a bedrock client made so."""
    server = serve(mock.Error(403))
    client = millstream.Client("bedrock", base_url=server.url, max_retries=0, **given)
    with pytest.raises(millstream.PermissionDenied):
        client.stream(model="m", messages=[HI]).result()
    return server.requests[0].headers.get("authorization", "")


def test_bedrock_takes_keys_and_credentials_arguments_first(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert authorization(serve) == ""
    for name, value in AWS_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert "Credential=AKENV/" in (signed := authorization(serve))
    assert "/eu-north-1/bedrock/" in signed
    assert "x-amz-security-token" in signed
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert "/us-west-2/bedrock/" in authorization(serve)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "from-outside")
    assert authorization(serve) == "Bearer from-outside"
    assert "Credential=AKID/" in (signed := authorization(serve, options=AWS))
    assert "x-amz-security-token" not in signed, "credentials of two sources were mixed"
    assert authorization(serve, options=AWS, api_key=KEY) == f"Bearer {KEY}"


@pytest.mark.parametrize("missing", ["aws_secret_access_key", "region"])
def test_half_a_credential_is_named(missing: str) -> None:
    rest = {name: value for name, value in AWS.items() if name != missing}
    with pytest.raises(ValueError, match=f"^options: .*'{missing}'"):
        millstream.Client("bedrock", base_url="http://h", options=rest)  # type: ignore[arg-type]


# ---- what may be shown ---------------------------------------------------------------------------

SECRETS = [
    ("openai", {}),
    ("anthropic", {}),
    ("gemini", {}),
    ("azure", {}),
    ("bedrock", {"api_key": None, "options": {**AWS, "aws_session_token": KEY,
                                              "aws_secret_access_key": KEY}}),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "given"), SECRETS, ids=[s[0] for s in SECRETS])
def test_no_secret_is_in_the_request_shown(provider: str, given: dict[str, Any]) -> None:
    headers = {
        "Proxy-Authorization": f"Basic {KEY}", "Cookie": f"id={KEY}", "X-My-Key": KEY,
        "X-Forwarded": f"Bearer {KEY}", "X-Fine": "seen",
    }  # fmt: skip
    client = client_of(provider, headers=headers, base_url=f"https://u:{KEY}@h/v1", **given)
    request = client.request_for(model="m", messages=[HI])
    assert isinstance(request, millstream.Request)
    shown = [repr(request), request.url, repr(request.headers), repr(request.json), repr(client)]
    assert not any(KEY in text for text in shown)
    assert request.body is not None
    assert KEY.encode() not in request.body
    assert request.headers["X-Fine"] == "seen"
    assert request.headers["X-Forwarded"] == "Bearer ***"
    if provider == "bedrock":
        assert request.headers["Authorization"] == "AWS4-HMAC-SHA256 ***"
        assert request.headers["X-Amz-Security-Token"] == "***"


def test_request_for_sends_nothing(serve: Serve, connect: Connect) -> None:
    server = serve(mock.Raw(chunked(chat("x", finish="stop"), DONE)))
    client = connect(server)
    client.request_for(model="m", messages=[HI])
    assert client.metrics()["streams_started"] == 0
    client.stream(model="m", messages=[HI]).result()
    assert eventually(lambda: len(server.requests) == 1)


# ---- a round with each: the mock server answers in the provider's format -------------------------


@pytest.mark.parametrize("provider", FAMILIES)
def test_a_conversation_with_tools_goes_round(serve: Serve, provider: str) -> None:
    """The question goes out in the provider's form, its answer comes back and is given back."""
    call = mock.ToolCall("weather", '{"city": "Ulm"}')
    server = serve([mock.Answer(tool_calls=[call]), "It rains."])
    client = client_of(provider, base_url=server.url, max_retries=0, timeout=timeout())
    messages: list[Any] = [{"role": "user", "content": "Rain?"}]
    tools = [{"name": "weather", "parameters": SCHEMA}]
    asked = client.stream(model="m", messages=messages, tools=tools).result()
    (called,) = asked.tool_calls
    assert called.name == "weather"
    assert json.loads(called.arguments) == {"city": "Ulm"}
    result = {"role": "tool", "tool_call_id": called.id, "name": called.name, "content": "rain"}
    messages += [asked, result]
    answer = client.stream(model="m", messages=messages, tools=tools).result()
    assert (answer.text, answer.finish_reason) == ("It rains.", "stop")
    second = server.requests[1].json()
    assert len(turns(second)) == 3
    assert "Ulm" in json.dumps(turns(second)[1])
    assert "rain" in json.dumps(turns(second)[2])
