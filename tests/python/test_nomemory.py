"""Python's allocator fails at every place, once and many times: MemoryError or the right result.

A crash ends the process that runs the script; SystemError is what C code gives that forgot its
exception. Both fail the test.
"""

from __future__ import annotations

import pytest

from answers import DONE, chat
from conftest import Serve
from millstream import mock
from processes import Run

pytest.importorskip(
    "_testcapi", reason="this interpreter has no _testcapi to fail allocations with"
)

TORTURE = """
import _testcapi, os, traceback
import millstream

ENOUGH = 25  # runs without a MemoryError in a row: no allocation was left to fail
MANY = 20  # CPython ends the process where no exception at all can be made, 32 tries later
PACKAGE = os.path.dirname(millstream.__file__)

def outcome(prepare, work, nth, count):
    given = prepare()
    _testcapi.set_nomemory(nth, nth + count)
    try:
        result = work(given)
    except BaseException as error:
        result = error
    finally:
        _testcapi.remove_mem_hooks()
    return result

def is_cpythons(result):
    # The interpreter loses a MemoryError in some of its own except clauses.
    if not isinstance(result, SystemError):
        return False
    file = traceback.extract_tb(result.__traceback__)[-1].filename
    return file != "<string>" and not file.startswith(PACKAGE)

def torture(prepare, work, expected):
    failed = 0
    for count in (1, MANY):
        nth = quiet = 0
        while quiet < ENOUGH:
            result = outcome(prepare, work, nth, count)
            if isinstance(result, MemoryError) or is_cpythons(result):
                failed, quiet = failed + 1, 0
            elif not isinstance(result, BaseException) and expected(result):
                quiet += 1
            else:
                if isinstance(result, BaseException):
                    traceback.print_exception(result)
                raise AssertionError(f"{count} from allocation {nth} on: {result!r}")
            nth += 1
    return failed

def ready():
    stream = ask()
    stream.response
    return stream

def begun():
    stream = ready()
    next(stream)
    return stream

def ended():
    stream = ask()
    stream.result()
    return stream

def ended_chunks():
    return (chunk for chunk in ask() if chunk.type == "text")

def cancelled(stream):
    stream.cancel()
    try:
        next(stream)
    except millstream.Cancelled as error:
        return type(error).__name__

def grown(partial):
    partial.feed('["' + 'a' * 70000 + '", {"b":')  # large enough to be parsed without the GIL
    partial.feed(' [1.5, null]}]')
    return partial.finish()

def taken(attribute):
    return lambda stream: getattr(stream, attribute)

"""

WHOLE = mock.Raw(
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Request-Id: 7\r\n\r\n",
        chat("one two"),
        chat("é", reasoning_content="why"),
        chat(
            tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}],
        ),
        chat(finish="stop", usage={"prompt_tokens": 1, "completion_tokens": 2}),
        DONE,
    ]
)


OPERATIONS = {
    "start": "lambda: 0, lambda _: ask(), lambda r: isinstance(r, millstream.Stream)",
    "next": "ready, next, lambda r: r.text == 'one two'",
    "texts": "ready, lambda s: next(s.texts()), lambda r: r == 'one two'",
    "batches": "ready, lambda s: next(s.batches()), lambda r: r[0].text == 'one two'",
    "events": "ready, lambda s: next(s.events()), lambda r: r.type == 'message'",
    "all": "ready, list, lambda r: len(r) >= 5",
    "chunk": "begun, lambda s: (c := next(s)).json() and (repr(c), str(c), c.raw), len",
    "message": "ended, taken('message'), lambda r: r.text == 'one twoé' and r.usage",
    "timing": "ended, taken('timing'), lambda r: r.chunks >= 5",
    "response": "ended, taken('response'), lambda r: r.request_id == '7'",
    "metrics": "ended, lambda s: client.metrics(), lambda r: r['streams_ok']",
    "partial": "millstream.PartialJSON, grown, lambda r: r[1:] == [{'b': [1.5, None]}]",
    "frame": "lambda: list(ended_chunks()), lambda c: [millstream._core.frame(b'a', x, b'z', 7)"
    " for x in (c[0], c[1], '\\\\', '\\ud800')], lambda r: r[1] == b'id: 7\\na\\xc3\\xa9z'",
    "cancelled": "begun, cancelled, lambda r: r == 'Cancelled'",
}
NEVER = {
    "closed": "begun, lambda s: s.close(), lambda r: r is None",
    "dropped": "lambda: [begun()], list.clear, lambda r: r is None",
}
"""Nothing is allocated where memory is given back."""


@pytest.mark.parametrize("operation", NEVER.values(), ids=NEVER.keys())
def test_an_end_needs_no_memory(serve: Serve, run: Run, operation: str) -> None:
    code, out, err = run(serve(WHOLE), f"say(torture({operation}))", TORTURE).end()
    assert (code, out) == (0, "0"), err


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_a_failed_allocation_is_a_memory_error(serve: Serve, run: Run, operation: str) -> None:
    code, out, err = run(serve(WHOLE), f"say(torture({operation}))", TORTURE).end()
    assert code == 0, err
    assert int(out) > 0


ERRORS = {
    "status": mock.Raw(
        b"HTTP/1.1 429 No\r\nContent-Type: application/json\r\nRetry-After: 3\r\n"
        b'Content-Length: 41\r\n\r\n{"error":{"message":"slow","code":"rate"}}'[:-1]
    ),
    "provider": mock.Raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        b'data: {"error":{"message":"m","code":"c"}}\n\n'
    ),
    "cut": mock.Raw(
        [b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", chat("a")],
    ),
}


@pytest.mark.parametrize("answer", ERRORS.values(), ids=ERRORS.keys())
def test_a_failed_allocation_in_an_exception(serve: Serve, run: Run, answer: mock.Raw) -> None:
    process = run(
        serve(answer),
        """
        def facts(stream):
            try:
                for chunk in stream:
                    pass
            except millstream.Error as error:
                return error, str(error), repr(error), error.status, error.body, error.message

        say(torture(ask, facts, lambda r: isinstance(r[0], millstream.Error)))
        """,
        TORTURE,
    )
    code, out, err = process.end()
    assert code == 0, err
    assert int(out) > 0
