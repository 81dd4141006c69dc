"""OpenAI's assistants: `POST …/threads/runs` and `…/threads/{id}/runs`, named server-sent events,
`done`. Text and tool calls; without `stream`, the finished run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ._format import (
    Ask,
    Fault,
    Format,
    Stamp,
    ask_for,
    compact,
    encoded,
    finish_of,
    json_object,
    named,
    text_of,
    told,
    tool_names,
    usage_of,
)
from ._openai_chat import fragments_of, openai_error, openai_usage, tool_call
from ._request import Request
from ._script import Answer, Part, joined

_FINISHES = {
    "stop": "completed",
    "length": "incomplete",
    "tool_calls": "requires_action",
    "content_filter": "incomplete",
}
_REASONS = {"length": "max_completion_tokens", "content_filter": "content_filter"}


class OpenAIAssistants(Format):
    """An answer is a run with a message. A refusal is a text, with its status."""

    name = "openai-assistants"
    terminator = b"event: done\ndata: [DONE]\n\n"

    def serves(self, request: Request) -> bool:
        return "/threads/" in request.path and request.path.endswith("/runs")

    def read(self, request: Request) -> Ask:
        body = json_object(request)
        thread = body.get("thread")
        given = thread.get("messages") if isinstance(thread, dict) else None
        given = body.get("additional_messages", given)
        messages = [m for m in given if isinstance(m, dict)] if isinstance(given, list) else []
        return ask_for(
            str(body.get("model") or "mock"),
            [(m.get("role"), text_of(m.get("content"))) for m in messages],
            stream=body.get("stream") is True,
            tools=tool_names(body.get("tools"), "function"),
        )

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        run = _opening(ask, stamp)
        for kind in ("created", "queued", "in_progress"):
            status = "in_progress" if kind == "in_progress" else "queued"
            yield named(f"thread.run.{kind}", {**run, "status": status})
        message = {"id": stamp.id("msg_", 24), "object": "thread.message"}
        said = [text for text in (answer.text, answer.refusal) if text]
        if said:
            opened = {**message, "status": "in_progress", "role": "assistant", "content": []}
            yield named("thread.message.created", opened)
            for text in said:
                yield from told(text, lambda token: _delta(message["id"], token))
            value = "".join(map(joined, said))
            content = [{"type": "text", "text": {"value": value, "annotations": []}}]
            done = {**opened, "status": "completed", "content": content}
            yield named("thread.message.completed", done)
        calls = [tool_call(call, stamp) for call in answer.tool_calls]
        if calls:
            yield from _steps(run, answer, calls, stamp)
        if not answer.fails:
            ended = _ended(run, ask, answer, calls)
            yield named(f"thread.run.{ended['status']}", ended)

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        run = _opening(ask, stamp)
        calls = [tool_call(call, stamp) for call in answer.tool_calls]
        return encoded(compact(_ended(run, ask, answer, calls)))

    def error(self, status: int, error: Fault) -> bytes:
        return openai_error(status, error)

    def error_event(self, error: Fault, number: int) -> bytes:
        return b"event: error\ndata: %b\n\n" % openai_error(500, error)


def _opening(ask: Ask, stamp: Stamp) -> dict[str, object]:
    return {
        "id": stamp.id("run_", 24),
        "object": "thread.run",
        "created_at": stamp.created,
        "assistant_id": stamp.id("asst_", 24),
        "thread_id": stamp.id("thread_", 24),
        "status": "queued",
        "required_action": None,
        "incomplete_details": None,
        "last_error": None,
        "model": ask.model,
        "usage": None,
    }


def _delta(message_id: str, token: str) -> bytes:
    content = [{"index": 0, "type": "text", "text": {"value": token}}]
    delta = {"id": message_id, "object": "thread.message.delta", "delta": {"content": content}}
    return named("thread.message.delta", delta)


def _steps(
    run: dict[str, object], answer: Answer, calls: Sequence[dict[str, object]], stamp: Stamp
) -> Iterator[Part]:
    """The step of a run that calls tools, in fragments."""
    step = {"id": stamp.id("step_", 24), "object": "thread.run.step", "run_id": run["id"]}
    details = {"type": "tool_calls", "tool_calls": []}
    created = {**step, "type": "tool_calls", "status": "in_progress", "step_details": details}
    yield named("thread.run.step.created", created)
    for index, call in enumerate(answer.tool_calls):
        for fragment in fragments_of(index, call, str(calls[index]["id"])):
            inner = {"type": "tool_calls", "tool_calls": [{**fragment, "type": "function"}]}
            delta = {"id": step["id"], "object": "thread.run.step.delta"}
            yield named("thread.run.step.delta", {**delta, "delta": {"step_details": inner}})


def _ended(
    run: dict[str, object], ask: Ask, answer: Answer, calls: Sequence[dict[str, object]]
) -> dict[str, object]:
    """A run that is over, or that waits for the results of its tool calls."""
    reason = finish_of(answer, {})
    ended = {**run, "status": _FINISHES.get(reason, reason)}
    if reason in _REASONS:
        ended["incomplete_details"] = {"reason": _REASONS[reason]}
    usage = usage_of(ask, answer)
    if usage:
        ended["usage"] = openai_usage(usage)
    if calls:
        outputs = {"tool_calls": calls}
        ended["required_action"] = {"type": "submit_tool_outputs", "submit_tool_outputs": outputs}
    return ended
