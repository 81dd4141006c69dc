"""PartialJSON: its value at every cut, its changes, its copies, what it refuses and repairs."""

from __future__ import annotations

import copy
import gc
import json
import os
import random
import sys
import threading
import time
import tracemalloc
import weakref
from pathlib import Path
from typing import Any

import pytest

import millstream
from conftest import SHARED
from millstream import Change, Limits, PartialJSON
from partial_reference import value_at

SUITE = SHARED / "JSONTestSuite"
# A sample; MILLSTREAM_DOCUMENTS=10000 takes half a minute.
DOCUMENTS = int(os.environ.get("MILLSTREAM_DOCUMENTS", "1000"))
SEED = 9
DETACHED = 65536  # of which size a piece is parsed without the GIL

needs_suite = pytest.mark.skipif(
    not SUITE.exists(), reason="skipped: ../shared/JSONTestSuite is missing"
)


def suite(kind: str) -> list[Path]:
    return sorted(SUITE.glob(f"{kind}_*.json"))


def read(pieces: list[str] | list[bytes], **options: Any) -> PartialJSON:
    partial = PartialJSON(**options)
    for piece in pieces:
        partial.feed(piece)
    partial.finish()
    return partial


# ---- generated documents -------------------------------------------------------------------------

CHARACTERS = (
    "a", "b", " ", "\u00e9", "\u20ac", "\U0001f600", "\\n", '\\"', "\\\\", "\\/", "\\u0041",
    "\\u00E9", "\\ud83d\\ude00", "\\uD800", "\\udc00", "{", "]", ",", ":", "'", "`", "\x7f",
)  # fmt: skip
SCALARS = (
    "0",
    "-1",
    "12",
    "1.5",
    "-0.0",
    "2e3",
    "1E-2",
    "true",
    "false",
    "null",
    "123456789012345678901",
)
SPACES = ("", "", "", " ", "\n", "\t ", "\r\n")


def make_string(random: random.Random) -> str:
    return '"' + "".join(random.choices(CHARACTERS, k=random.choice((0, 1, 2, 5)))) + '"'


def make_document(random: random.Random, depth: int = 0) -> str:
    """Some JSON text; keys come twice at times."""
    space = random.choice(SPACES)
    kind = random.choice("{[" if depth == 0 else '{["s' if depth < 4 else '"s')
    if kind == "s":
        return space + random.choice(SCALARS) + random.choice(SPACES)
    if kind == '"':
        return space + make_string(random) + random.choice(SPACES)
    items = [make_document(random, depth + 1) for _ in range(random.choice((0, 1, 2, 3)))]
    if kind == "{":
        keys = [random.choice(('"k"', make_string(random))) for _ in items]
        items = [f"{space}{key}{space}:{item}" for key, item in zip(keys, items, strict=True)]
    return f"{space}{kind}{','.join(items) or space}{'}' if kind == '{' else ']'}{space}"


def documents() -> list[str]:
    source = random.Random(SEED)
    return [make_document(source) for _ in range(DOCUMENTS)]


def cut(random: random.Random, text: bytes) -> list[bytes]:
    """In pieces, some of them empty."""
    ends = sorted(random.randint(0, len(text)) for _ in range(random.choice((1, 3, 10))))
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


# ---- the value at every cut ----------------------------------------------------------------------


def check_every_cut(text: str) -> None:
    """Fed byte by byte, looked at behind each character."""
    partial = PartialJSON()
    for end, character in enumerate(text, 1):
        for byte in character.encode():
            partial.feed(bytes([byte]))
        assert same(partial.value, value_at(text[:end])), text[:end]
    assert same(partial.finish(), scrubbed(json.loads(text)))
    assert partial.done


def same(value: Any, expected: Any) -> bool:
    """Equal, and of the same types: 1 is not True nor 1.0."""
    return value == expected and repr(value) == repr(expected)


def scrubbed(value: Any) -> Any:
    """What json.loads gives, with lone halves of surrogate pairs replaced."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [scrubbed(element) for element in value]
    if isinstance(value, dict):
        return {scrubbed(key): scrubbed(member) for key, member in value.items()}
    return value


@needs_suite
@pytest.mark.parametrize("path", suite("y"), ids=lambda path: path.stem)
def test_every_document_of_the_suite_at_every_cut(path: Path) -> None:
    check_every_cut(path.read_bytes().decode())


def test_generated_documents_at_every_cut() -> None:
    for document in documents():
        check_every_cut(document)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("{", {}),
        ('{"a', {}),
        ('{"a":', {}),
        ('{"a":1', {}),
        ('{"a":1 ', {"a": 1}),
        ('{"a":"', {"a": ""}),
        ('{"a":"x\\', {"a": "x"}),
        ('{"a":"x\\u00e', {"a": "x"}),
        ('{"a":"\\ud83d', {"a": ""}),
        ('{"a":"\\ud83dx', {"a": "\ufffdx"}),
        ('{"a":1,"a":', {"a": 1}),
        ('{"a":1,"a":"', {"a": ""}),
        ("[{", []),
        ('[{"a":1', []),
        ('[{"a":[', [{"a": []}]),
        ("[{}", [{}]),
        ("[[", [[]]),
        ("[true", []),
        ("[true,", [True]),
        ("1", None),
    ],
)
def test_the_reference_and_the_parser_say_what_is_there(text: str, value: Any) -> None:
    assert value_at(text) == value
    partial = PartialJSON()
    partial.feed(text)
    assert partial.value == value


# ---- changes -------------------------------------------------------------------------------------


def apply(value: Any, changes: list[Change]) -> Any:
    """The value after the changes; what they hold is the reader's."""
    root = [value]
    for path, kind, new, _ in changes:
        parent: Any = root
        for step in (0, *path[:-1]) if path else ():
            parent = parent[step]
        step = path[-1] if path else 0
        if kind == "grow":
            parent[step] += new
        elif kind == "end":
            assert isinstance(parent[step], (dict, list))
        else:
            there = step in parent if isinstance(parent, dict) else False
            assert there == (kind == "replace")
            if isinstance(parent, list) and step == len(parent):
                parent.append(new)
            else:
                parent[step] = new
    return root[0]


def joined(changes: list[Change]) -> list[tuple[Any, ...]]:
    """The changes with the pieces of each string put together."""
    log: list[tuple[Any, ...]] = []
    for path, kind, value, complete in changes:
        if kind == "grow":
            assert log[-1][0] == path
            assert not log[-1][3]
            log[-1] = (path, log[-1][1], log[-1][2] + value, complete)
        else:
            log.append((path, kind, copy.copy(value), complete))
    return log


def changes_of(pieces: list[bytes]) -> list[tuple[Any, ...]]:
    partial = PartialJSON()
    assert partial.changes() == []
    mirror: Any = None
    log = []
    for piece in pieces:
        partial.feed(piece)
        changes = partial.changes()
        log += joined_copy(changes)
        mirror = apply(mirror, changes)
        assert mirror == partial.value
        assert partial.changes() == []
    return joined(log)


def joined_copy(changes: list[Change]) -> list[Change]:
    """The same, out of reach of what is applied."""
    return [Change((path, kind, copy.copy(value), done)) for path, kind, value, done in changes]


def test_any_split_gives_the_same_changes() -> None:
    source = random.Random(SEED)
    for document in documents():
        data = document.encode()
        assert changes_of(cut(source, data)) == changes_of([data])


def test_changes_say_where_what_and_whether_it_is_complete() -> None:
    partial = PartialJSON()
    partial.changes()
    partial.feed('{"a":[1,{"b":"x')
    assert partial.changes() == [
        ((), "set", {}, False),
        (("a",), "set", [], False),
        (("a", 0), "set", 1, True),
        (("a", 1), "set", {}, False),
        (("a", 1, "b"), "set", "x", False),
    ]
    partial.feed('y"}],"a":')
    assert partial.changes() == [
        (("a", 1, "b"), "grow", "y", True),
        (("a", 1), "end", None, True),
        (("a",), "end", None, True),
    ]
    partial.feed('null,"a":"z')
    changes = partial.changes()
    assert changes == [(("a",), "replace", None, True), (("a",), "replace", "z", False)]
    assert changes[1].path == ("a",)
    assert changes[1].kind == "replace"
    partial.feed('"')
    assert partial.changes() == [(("a",), "grow", "", True)]


def test_the_first_look_gives_the_value_so_far_as_one_change() -> None:
    partial = PartialJSON()
    partial.feed('{"a":[1],"b":"x')
    (first,) = partial.changes()
    assert [first] == [((), "set", {"a": [1], "b": "x"}, False)]
    partial.feed('y"}')
    assert apply(first.value, partial.changes()) == {"a": [1], "b": "xy"} == partial.value
    assert partial.done
    late = read(["[1]"])
    assert late.changes() == [((), "set", [1], True)]
    assert late.changes() == []


def test_no_change_is_kept_for_who_does_not_look() -> None:
    partial = PartialJSON()
    partial.feed("[")
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(1000):
        partial.feed("1,")
    assert len(gc.get_objects()) - before < 100


# ---- growing in place, and copies ----------------------------------------------------------------


def test_the_value_grows_in_place() -> None:
    partial = PartialJSON()
    partial.feed('{"a":["x')
    value = partial.value
    inner = value["a"]
    partial.feed('y",{"b":1}')
    assert partial.value is value
    assert value["a"] is inner
    assert value == {"a": ["xy", {"b": 1}]}


def test_strings_taken_from_the_value_stay_as_they_are() -> None:
    partial = PartialJSON()
    partial.feed('{"a":"x')
    taken = partial.value["a"]
    partial.feed("y")
    hashed = {partial.value["a"]}
    partial.feed("z")
    assert (taken, hashed, partial.value["a"]) == ("x", {"xy"}, "xyz")


@pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="skipped: AddressSanitizer copies whatever grows, for minutes",
)
@pytest.mark.parametrize("character", ["a", "\u00e9", "\u20ac", "\U0001f600"])
@pytest.mark.parametrize("before", ["", '["', '[[1],"', '{"a":"', '{"a":[{"b":"'])
def test_the_open_string_is_not_copied_for_each_piece(before: str, character: str) -> None:
    n, piece = 2_000_000, character * 40
    partial = PartialJSON()
    partial.feed(before or '"')
    partial.feed(piece)
    tracemalloc.start()
    try:
        for _ in range(n // len(piece)):
            partial.feed(piece)
            partial.value  # noqa: B018
        size, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > n / 2
    assert peak < 1.5 * size


def test_snapshots_do_not_change() -> None:
    source = random.Random(SEED)
    for document in documents():
        partial = PartialJSON()
        taken = []
        for piece in cut(source, document.encode()):
            partial.feed(piece)
            snapshot = partial.snapshot()
            taken.append((snapshot, copy.deepcopy(partial.value)))
        for snapshot, expected in taken:
            assert same(snapshot, expected)


def test_a_snapshot_copies_what_is_open_and_shares_the_rest() -> None:
    partial = PartialJSON()
    partial.feed('{"done":[1,2],"open":[[3],{"a":"x')
    snapshot = partial.snapshot()
    assert partial.snapshot() is snapshot
    assert snapshot == partial.value
    assert snapshot["done"] is partial.value["done"]
    assert snapshot["open"] is not partial.value["open"]
    assert snapshot["open"][0] is partial.value["open"][0]
    assert snapshot["open"][1] is not partial.value["open"][1]
    partial.feed("")
    assert partial.snapshot() is not snapshot
    assert PartialJSON().snapshot() is None


def test_keys_that_come_again_are_one_object() -> None:
    partial = PartialJSON()
    partial.feed('[{"name of it":1},{"name of it":2}]')
    (first,), (second,) = partial.value
    assert first is second


# ---- what is taken and what is refused -----------------------------------------------------------


@pytest.mark.parametrize(
    "make", [str, str.encode, lambda t: bytearray(t.encode()), lambda t: memoryview(t.encode())]
)
def test_pieces_are_str_or_bytes(make: Any) -> None:
    assert read([make('["\u00e9"]')]).value == ["\u00e9"]


def test_other_pieces_are_type_errors() -> None:
    with pytest.raises(TypeError):
        PartialJSON().feed(1)  # type: ignore[arg-type]
    with pytest.raises(UnicodeEncodeError):
        PartialJSON().feed('["\ud83d"]')


def test_characters_may_be_cut_in_bytes() -> None:
    data = '["\U0001f600"]'.encode()
    assert read([data[i : i + 1] for i in range(len(data))]).value == ["\U0001f600"]


def test_bytes_that_are_no_utf8_become_replacements() -> None:
    assert read([b'["\xff', b'\xe2\x82"]']).value == ["\ufffd\ufffd"]


@needs_suite
@pytest.mark.parametrize("path", suite("n"), ids=lambda path: path.stem)
def test_what_is_no_json_is_refused(path: Path) -> None:
    with pytest.raises((millstream.ProtocolError, millstream.LimitExceeded)) as caught:
        read([path.read_bytes()])
    assert caught.value.byte_offset is not None
    assert caught.value.byte_offset <= path.stat().st_size


@needs_suite
@pytest.mark.parametrize("path", suite("n"), ids=lambda path: path.stem)
def test_what_is_no_json_is_refused_or_repaired_in_lenient_mode(path: Path) -> None:
    try:
        partial = read([path.read_bytes()], lenient=True)
    except (millstream.ProtocolError, millstream.LimitExceeded):
        return
    assert partial.repairs
    assert partial.done
    json.dumps(partial.value)


@needs_suite
@pytest.mark.parametrize("path", suite("i"), ids=lambda path: path.stem)
def test_what_json_leaves_open_ends_one_way_or_the_other(path: Path) -> None:
    try:
        partial = read([path.read_bytes()])
    except (millstream.ProtocolError, millstream.LimitExceeded):
        return
    assert partial.done


def test_a_fault_says_where_and_stays() -> None:
    partial = PartialJSON()
    partial.feed('{"a":[1,2')
    with pytest.raises(millstream.ProtocolError, match="at byte 10") as caught:
        partial.feed(",]}")
    assert caught.value.byte_offset == 10
    assert partial.value == {"a": [1, 2]}
    assert not partial.done
    for call in (partial.finish, lambda: partial.feed("1")):
        with pytest.raises(millstream.ProtocolError, match="at byte 10"):
            call()


def test_what_came_before_a_fault_in_the_same_piece_is_there() -> None:
    partial = PartialJSON()
    partial.changes()
    with pytest.raises(millstream.ProtocolError):
        partial.feed('["abc\n')
    assert partial.value == ["abc"]
    assert partial.changes()[-1] == ((0,), "set", "abc", False)


def test_a_cut_text_is_refused_at_its_end() -> None:
    partial = PartialJSON()
    partial.feed("[1")
    with pytest.raises(millstream.ProtocolError, match="cut"):
        partial.finish()
    assert partial.value == []


def test_nothing_can_be_fed_behind_the_end() -> None:
    partial = read(["[1]"])
    assert partial.finish() == [1]
    with pytest.raises(ValueError, match="finish"):
        partial.feed(" ")


def test_a_character_cut_at_the_end_of_the_text_around() -> None:
    with pytest.raises(millstream.ProtocolError, match="UTF-8"):
        read([b"[]\n\xc3"])
    assert read([b"[]\n\xc3\xa9"]).value == []


def test_limits() -> None:
    with pytest.raises(millstream.LimitExceeded, match="deep"):
        read(["[[[[]]]]"], limits=Limits(json_depth=3))
    with pytest.raises(millstream.LimitExceeded, match="long"):
        read(["[1,2,3]"], limits=Limits(event_bytes=6))
    assert read(["[[[]]]"], limits=Limits(json_depth=3, event_bytes=6)).value == [[[]]]


def test_the_kind_of_the_root() -> None:
    text = 'See: [1]\nor "that": {"a":[2]}'
    partial = PartialJSON(dict)
    partial.feed(text)
    assert partial.finish() == {"a": [2]}
    partial = PartialJSON(list)
    partial.feed(text)
    assert partial.finish() == [1]
    with pytest.raises(TypeError, match="into"):
        PartialJSON(complex)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1}',
        'Here it is:\n\n```json\n{"a":1}\n```\nAnything else?',
        'Sure: {"a":1}',
        '<answer>{"a":1}</answer>',
        '\ufeff{"a":1}\n',
        'The [note] and {this} are text.\n{"a":1}\nSee [1].',
    ],
)
def test_text_around_the_value_is_skipped(text: str) -> None:
    assert read(list(text)).value == {"a": 1}


def test_a_second_value_is_an_error_or_a_repair() -> None:
    with pytest.raises(millstream.ProtocolError, match="second value"):
        read(["{}\n{}"])
    partial = read(["{}\n[1]"], lenient=True)
    assert partial.value == {}
    assert partial.repairs == ((3, "second_root"),)


# ---- lenient mode --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value", "repairs"),
    [
        ('{"a":[1,2,],}', {"a": [1, 2]}, ["trailing_comma", "trailing_comma"]),
        ("[,1,,2]", [1, 2], ["extra_comma", "extra_comma"]),
        ('{"a":1 "b":[1 2]}', {"a": 1, "b": [1, 2]}, ["missing_comma", "missing_comma"]),
        ('{"a" 1}', {"a": 1}, ["missing_colon"]),
        ('{"a":,"b":1}', {"b": 1}, ["missing_value"]),
        ('{"a":[1', {"a": [1]}, ["missing_closer", "missing_closer"]),
        ("[1}]", [1], ["stray_closer"]),
        ('[1, // one\n2 /* two */, 3] # end', [1, 2, 3], ["comment", "comment"]),
        ("{'a': 'it\\'s'}", {"a": "it's"}, ["single_quotes", "single_quotes", "escape"]),
        ("{a_b: 1, 2: 3}", {"a_b": 1, "2": 3}, ["bare_key", "bare_key"]),
        (
            '{"a":"he said "hi"  to me" , "b":["the "old"" ,"c"]}',
            {"a": 'he said "hi"  to me', "b": ['the "old"', "c"]},
            ["inner_quote"] * 4,
        ),
        ('["une "é", "a" ]', ['une "é', "a"], ["inner_quote"]),
        ("['it's', 'b']", ["it's", "b"], ["single_quotes", "inner_quote", "single_quotes"]),
        ('["a" "b"/**/]', ["a", "b"], ["missing_comma", "comment"]),
        ('["a" ', ["a"], ["missing_closer"]),
        ('{"mood": happy}', {"mood": "happy"}, ["bare_string"]),
        ("[True, False, None, undefined]", [True, False, None, None], ["literal"] * 4),
        ("[Infinity, -Infinity]", [float("inf"), float("-inf")], ["literal"] * 2),
        ("[+1, 01, .5, 5.]", [1, 1, 0.5, 5.0], ["number"] * 4),
        ('["\\d"]', ["\\d"], ["escape"]),
        ('["a\nb"]', ["a\nb"], ["control"]),
        ("[1]]", [1], ["trailing_text"]),
        ("[1] [2]", [1], ["second_root"]),
        ('[1, "tw', [1, "tw"], ["missing_closer", "missing_closer"]),
        ("None", None, ["literal"]),
    ],
)  # fmt: skip
def test_what_is_repaired_is_listed(text: str, value: Any, repairs: list[str]) -> None:
    for pieces in ([text], list(text)):
        partial = read(pieces, lenient=True)
        assert same(partial.value, value)
        assert [repair.kind for repair in partial.repairs] == repairs
        assert all(0 <= repair.offset <= len(text) for repair in partial.repairs)
    with pytest.raises(millstream.ProtocolError):
        read([text])


def test_json_needs_no_repair() -> None:
    for document in documents():
        partial = read([document], lenient=True)
        assert partial.repairs == ()
        assert same(partial.value, scrubbed(json.loads(document)))


# ---- the object ----------------------------------------------------------------------------------


def test_a_finalizer_inside_a_call_cannot_begin_another() -> None:
    partial = PartialJSON()
    partial.feed('{"a":1')
    partial.feed(" ")
    raised: list[BaseException] = []

    class Caller:
        def __del__(self) -> None:
            for call in (
                lambda: partial.feed("1"),
                partial.finish,
                partial.changes,
                partial.snapshot,
            ):
                try:
                    call()
                except RuntimeError as error:
                    raised.append(error)

    partial.value["a"] = Caller()
    partial.feed(',"a":2}')
    gc.collect()
    assert len(raised) == 4
    assert partial.value == {"a": 2}


def test_a_list_that_somebody_shortens_is_an_error_for_good() -> None:
    partial = PartialJSON()
    partial.feed('["a')
    partial.value.clear()
    with pytest.raises(IndexError):
        partial.feed("b")
    for call in (partial.finish, partial.changes, partial.snapshot, lambda: partial.feed("c")):
        with pytest.raises(RuntimeError, match="failed"):
            call()


def test_other_threads_look_while_one_feeds() -> None:
    """Each look is between two pieces, of which some are parsed without the GIL."""
    rows = [{"id": n, "text": "wheel \u00e9 " * 20} for n in range(2000)]
    partial = PartialJSON()
    fed = threading.Event()
    faults: list[object] = []

    def look() -> None:
        seen = 0
        try:
            while not fed.is_set():
                snapshot = partial.snapshot() or []
                partial.changes()
                whole = snapshot[:-1]
                assert whole == rows[: len(whole)]
                assert len(snapshot) >= seen
                seen = len(snapshot)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    text = json.dumps(rows)
    small = len(text) // 20
    for at in range(0, small, 7):
        partial.feed(text[at : min(at + 7, small)])
    for at in range(small, len(text), 2 * DETACHED):
        partial.feed(text[at : at + 2 * DETACHED])
    fed.set()
    for thread in threads:
        thread.join()
    assert not faults
    assert partial.finish() == rows


def test_threads_that_feed_one_object_take_turns() -> None:
    """Which goes first is open, but none comes between another's piece."""
    partial = PartialJSON()
    partial.feed("[")
    pieces = {name: f'"{name * size}",' for name, size in (("a", 3 * DETACHED), ("b", 100))}
    turns = 20

    def feed(name: str) -> None:
        for _ in range(turns):
            partial.feed(pieces[name])

    threads = [threading.Thread(target=feed, args=(name,)) for name in ("a", "b", "a")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    partial.feed("0]")
    *fed, last = partial.finish()
    assert last == 0
    assert sorted(map(len, fed)) == [100] * turns + [3 * DETACHED] * (2 * turns)


def test_a_large_piece_is_parsed_without_the_gil() -> None:
    """No thread is made to let go of the GIL here, so that another one runs only where it is let.

    Feeding goes on until that was seen; if the GIL is kept, for ever.
    """
    text = json.dumps(["mill"] * (2 * DETACHED))
    turns = 0
    stop = threading.Event()

    def count() -> None:
        nonlocal turns
        while not stop.is_set():
            turns += 1
            time.sleep(0)  # lets go of the GIL

    interval = sys.getswitchinterval()
    counter = threading.Thread(target=count)
    counter.start()
    try:
        sys.setswitchinterval(1000)
        deadline = time.monotonic() + 60
        before = turns
        while turns == before:
            assert time.monotonic() < deadline, "no other thread ran"
            PartialJSON().feed(text)
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        counter.join()


LARGE: dict[str, str | bytes] = {
    "strings": json.dumps(
        ["\u20ac\U0001f600 wheel\n" * 20_000, "a" * DETACHED], ensure_ascii=False
    ),
    "escapes": json.dumps(["\u20ac\U0001f600 wheel\n" * 10_000]),
    "objects": json.dumps({"rows": [{"": -1.5e3, "name": "wheel", "ok": True, "no": None}] * 5000}),
    "prose": "So it goes. " * 20_000 + '\n{"a": [1, 2]}\nDone. ' + "Yes. " * 40_000,
    "lenient": "{rows: [" + "{'a': +1, b: None,}, // one\n" * 5000 + "]",
    "fault": '["' + "a" * DETACHED + '", nothing, "' + "b" * DETACHED + '"]',
    "too deep": "[1," * 600 + " " * DETACHED,
    "no UTF-8": b'["' + b"a\xffb\xe2\x82" * DETACHED + b'"]',
}


@pytest.mark.parametrize("name", LARGE)
def test_large_pieces_are_read_as_small_ones(name: str) -> None:
    text = LARGE[name]
    data = text if isinstance(text, bytes) else text.encode()

    def outcome(size: int) -> tuple[Any, ...]:
        partial = PartialJSON(lenient=name == "lenient")
        partial.changes()
        fault = None
        try:
            for at in range(0, len(data), size):
                partial.feed(data[at : at + size])
            partial.finish()
        except millstream.Error as error:
            fault = (type(error), str(error), getattr(error, "byte_offset", None))
        return partial.value, partial.changes(), partial.repairs, partial.done, fault

    expected = outcome(DETACHED - 1)
    assert expected[0] is not None
    for size in (DETACHED, DETACHED + 1, 3 * DETACHED - 1, len(data)):
        assert outcome(size) == expected


def test_a_cycle_through_the_value_is_collected() -> None:
    class Subclass(PartialJSON):
        """Has a weak reference, for the test."""

    partial = Subclass()
    partial.feed('{"a":[1')
    partial.value["self"] = partial
    reference = weakref.ref(partial)
    del partial
    gc.collect()
    assert reference() is None
