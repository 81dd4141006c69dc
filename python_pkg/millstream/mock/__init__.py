"""A model server for tests: real HTTP on a real socket, answers as you script them.

::

    from millstream import mock

    with mock.Server("Hello there!") as url:           # "http://127.0.0.1:43117/v1"
        client = millstream.Client(base_url=url, api_key="any")

The server lives in one background thread, on a free port of 127.0.0.1, until the `with` ends. Keep
the object to look at what happened: `server.requests`, `server.connections`, `server.wait_…()`.

**A script** says what to answer. It is one of

==================  ================================================================================
`str`               the text of an answer, sent token by token
`Answer`            text, reasoning, refusal, tool calls, usage; its pace; what goes wrong in it
`Error`             an HTTP error: `Error(429, headers={"Retry-After": "2"})`
`Replay`            a recorded body, in pieces of any size
`Raw`               exactly these bytes on the socket
`None`              what the model's name says, see below (the default)
==================  ================================================================================

or a list of those, one a request (the last one repeats), or a function `(Request) -> one of those`,
which runs on the server's thread and must not wait; pauses and `Gate`s in the answer do that.

**Formats.** The path of a request says in which wire format it is answered, streamed or whole, its
errors included; what stands before the endings in this table does not matter.

========================  ==========================================================================
`openai-chat`             `POST …/chat/completions`; also of the many that are compatible
`mistral-chat`            `POST …/mistral/…/chat/completions`
`openai-completions`      `POST …/completions`
`openai-responses`        `POST …/responses`
`openai-assistants`       `POST …/threads/runs`, `POST …/threads/{id}/runs`
`openai-transcription`    `POST …/audio/transcriptions`
`anthropic-messages`      `POST …/messages`
`gemini`                  `POST …/{model}:streamGenerateContent?alt=sse`, `…:generateContent`
`gemini-json-array`       `POST …/{model}:streamGenerateContent`
`gemini-interactions`     `POST …/interactions`
`ollama-chat`             `POST …/api/chat`
`ollama-generate`         `POST …/api/generate`
`cohere-v2-chat`          `POST …/v2/chat`
`cohere-v1-chat`          `POST …/v1/chat`
`cohere-v1-generate`      `POST …/v1/generate`
`bedrock-converse`        `POST …/model/{id}/converse-stream`, `…/converse`
`bedrock-invoke`          `POST …/model/{id}/invoke-with-response-stream`, `…/invoke`; as Anthropic
========================  ==========================================================================

`server.base_url("anthropic")` is the base URL for that provider's clients, `server.origin` that of
those which add `/v1` themselves::

    server = mock.Server("Hello there!")
    with server:
        url = server.base_url("anthropic")
        client = millstream.Client("anthropic", base_url=url, api_key="any")

What a format has no place for is left out (tool calls of `openai-completions`, reasoning of
`cohere-v1-chat`); a refusal is then a text, with the format's finish reason for it
where there is one. `finish_reason`
is translated (`length` is `max_tokens` for Anthropic); a word of the format's own is sent as it is.
`GET …/models` lists the models. `Error`, `Replay`, `Raw` and functions answer any path and method.

**Models** of a server without a script:

=====================  =============================================================================
`mock`, any other      repeats the question, and says some sentences (about 60 tokens)
`mock-echo`            the last user message
`mock-long`            40 times those sentences
`mock-slow`            those sentences, after half a second, ten chunks a second
`mock-reasoning`       reasoning, then an answer
`mock-refusal`         a refusal
`mock-tools`           calls each tool of the request (`get_weather` where there is none)
`mock-length`          finish reason `length`
`mock-stream-error`    an error object after 10 chunks of a stream of status 200
`mock-cut`             the connection closed after 10 chunks; `mock-reset`: reset
`mock-hang`            silence after 10 chunks
`mock-error-429`       that HTTP status, as any from 400 to 599; 429 and 503 with `Retry-After: 1`
=====================  =============================================================================

Everything is deterministic: ids and times are counted, unless `Server(seed=None)`. From a shell:
`python -m millstream.mock --help`.
"""

from ._request import Request
from ._script import Answer, Error, Gate, Raw, Replay, Script, ToolCall, Usage
from ._server import Connections, Server

__all__ = [
    "Answer",
    "Connections",
    "Error",
    "Gate",
    "Raw",
    "Replay",
    "Request",
    "Script",
    "Server",
    "ToolCall",
    "Usage",
]
