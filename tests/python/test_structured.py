"""Typed answers: each kind of type at every cut, items, tool calls, results, errors."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import enum
import gc
import json
import os
import random
import subprocess
import sys
import threading
import tracemalloc
import uuid
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import pydantic
import pytest
import typing_extensions

import millstream
from answers import DONE, LAST_CHUNK, MESSAGES, chat, event, head, http_chunks
from conftest import Ask, Connect, Serve
from millstream import (
    Coercion,
    Done,
    NotNull,
    PartialJSON,
    State,
    ValidationError,
    WithState,
    mock,
)
from partial_reference import value_at
from structured_reference import ABSENT, DEFAULTS, expected, told, tree

pytest.importorskip("msgspec", reason="skipped: no msgspec for this interpreter")
import msgspec

SEED = 9
DOCUMENTS = int(os.environ.get("MILLSTREAM_DOCUMENTS", "40")) // 8  # a type


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


# ---- the same class in four libraries ------------------------------------------------------------


class PetModel(pydantic.BaseModel):
    name: Annotated[str, NotNull]
    legs: int
    kind: Color = Color.RED


class OwnerModel(pydantic.BaseModel):
    title: str
    age: int | None = None
    height: float
    nick: Annotated[str, Done]
    story: Annotated[str, WithState]
    pets: list[PetModel]
    whole: list[Annotated[PetModel, Done]]
    best: Annotated[PetModel | None, WithState] = None
    tags: list[str] = []
    words: dict[str, str]
    meta: dict  # type: ignore[type-arg]
    other: Any = None
    grade: Literal["a", "b"]


@dataclasses.dataclass
class PetData:
    name: Annotated[str, NotNull]
    legs: int
    kind: Color = Color.RED


@dataclasses.dataclass
class OwnerData:
    title: str
    height: float
    nick: Annotated[str, Done]
    story: Annotated[str, WithState]
    pets: list[PetData]
    whole: list[Annotated[PetData, Done]]
    words: dict[str, str]
    meta: dict  # type: ignore[type-arg]
    grade: Literal["a", "b"]
    age: int | None = None
    best: Annotated[PetData | None, WithState] = None
    tags: list[str] = dataclasses.field(default_factory=list)
    other: Any = None


@dataclasses.dataclass
class PetsData:
    pets: list[PetData]


@dataclasses.dataclass(frozen=True, slots=True)
class PetSlots:
    name: Annotated[str, NotNull]
    legs: int
    kind: Color = Color.RED


@dataclasses.dataclass(frozen=True, slots=True)
class OwnerSlots:
    title: str
    height: float
    nick: Annotated[str, Done]
    story: Annotated[str, WithState]
    pets: list[PetSlots]
    whole: list[Annotated[PetSlots, Done]]
    words: dict[str, str]
    meta: dict  # type: ignore[type-arg]
    grade: Literal["a", "b"]
    age: int | None = None
    best: Annotated[PetSlots | None, WithState] = None
    tags: list[str] = dataclasses.field(default_factory=list)
    other: Any = None


class PetDict(TypedDict):
    name: Annotated[str, NotNull]
    legs: int
    kind: typing_extensions.NotRequired[Color]


class OwnerDict(TypedDict, total=False):
    title: str
    age: int | None
    height: float
    nick: Annotated[str, Done]
    story: Annotated[str, WithState]
    pets: list[PetDict]
    whole: list[Annotated[PetDict, Done]]
    best: Annotated[PetDict | None, WithState]
    tags: list[str]
    words: dict[str, str]
    meta: dict  # type: ignore[type-arg]
    other: Any
    grade: Literal["a", "b"]


class PetStruct(msgspec.Struct, frozen=True):
    name: Annotated[str, NotNull]
    legs: int
    kind: Color = Color.RED


class OwnerStruct(msgspec.Struct, kw_only=True):
    title: str
    age: int | None = None
    height: float
    nick: Annotated[str, Done]
    story: Annotated[str, WithState]
    pets: list[PetStruct]
    whole: list[Annotated[PetStruct, Done]]
    best: Annotated[PetStruct | None, WithState] = None
    tags: list[str] = []
    words: dict[str, str]
    meta: dict  # type: ignore[type-arg]
    other: Any = None
    grade: Literal["a", "b"]


class Circle(pydantic.BaseModel):
    kind: Literal["circle"]
    label: str
    radius: float


class Square(pydantic.BaseModel):
    kind: Literal["square", "box"]
    label: str
    side: int


class Drawing(pydantic.BaseModel):
    shapes: list[Circle | Square]
    first: str | int | None = None


class Tree(pydantic.BaseModel):
    name: str
    children: list[Tree] = []


OWNERS = [OwnerModel, OwnerData, OwnerSlots, OwnerDict, OwnerStruct]
DEFAULTS.update(kind=Color.RED, tags=[], children=[])


# ---- documents -----------------------------------------------------------------------------------

PIECES = ("a", "é", "\U0001f600", '"', "\\", "\n", "{", "]", "\x7f", "")


def word(source: random.Random) -> str:
    return "".join(source.choices(PIECES, k=source.choice((0, 1, 4))))


def pet(source: random.Random) -> dict[str, Any]:
    members: dict[str, Any] = {"name": word(source), "legs": source.randint(-2, 9), "kind": "blue"}
    if source.random() < 0.5:
        del members["kind"]
    return mixed(source, members)


def owner(source: random.Random) -> dict[str, Any]:
    members: dict[str, Any] = {
        "title": word(source),
        "age": source.choice((None, 12)),
        "height": source.choice((2, 1.5, -3e2)),
        "nick": word(source),
        "story": word(source),
        "pets": [pet(source) for _ in range(source.choice((0, 1, 3)))],
        "whole": [pet(source) for _ in range(source.choice((0, 2)))],
        "best": source.choice((None, pet(source))),
        "tags": [word(source) for _ in range(source.choice((0, 2)))],
        "words": {word(source): word(source) for _ in range(2)},
        "meta": {"k": [word(source), {"x": 1}], "": {}},
        "other": source.choice((None, 5, word(source), [word(source)], {"a": {"b": "c"}})),
        "grade": source.choice("ab"),
        "unknown": source.choice((1, "x", [[]], {"title": "no"})),
    }
    for name in ("age", "best", "tags", "other", "unknown"):
        if source.random() < 0.3:
            del members[name]
    return mixed(source, members)


def mixed(source: random.Random, members: dict[str, Any]) -> dict[str, Any]:
    return dict(source.sample(list(members.items()), len(members)))


def drawing(source: random.Random) -> dict[str, Any]:
    shapes = [
        mixed(source, {"kind": "circle", "label": word(source), "radius": 2.5}),
        mixed(source, {"kind": "box", "label": word(source), "side": 2}),
    ]
    return {"shapes": source.choices(shapes, k=3), "first": source.choice((None, 1, word(source)))}


def family(source: random.Random, depth: int = 0) -> dict[str, Any]:
    count = source.choice((0, 1, 2)) if depth < 3 else 0
    return {"name": word(source), "children": [family(source, depth + 1) for _ in range(count)]}


def texts(make: Any, count: int = DOCUMENTS) -> list[str]:
    source = random.Random(SEED)
    return [
        json.dumps(
            make(source),
            ensure_ascii=source.random() < 0.5,
            indent=source.choice((None, None, 1)),
        )
        for _ in range(count)
    ]


CASES: list[tuple[Any, Any]] = [
    *((kind, owner) for kind in OWNERS),
    (list[OwnerData], lambda source: [owner(source), owner(source)]),
    (dict[str, PetModel], lambda source: {"a": pet(source), "b": pet(source)}),
    (list[PetDict | None], lambda source: [pet(source), None, pet(source)]),
    (Drawing, drawing),
    (Tree, family),
    (dict[str, Any], owner),
    (list[Any], lambda source: [owner(source), 1, "x"]),
    (Any, owner),
]


# ---- the value at every cut ----------------------------------------------------------------------


@pytest.mark.parametrize(("into", "make"), CASES, ids=lambda case: getattr(case, "__name__", None))
def test_every_type_at_every_cut(into: Any, make: Any) -> None:
    for text in texts(make):
        partial = PartialJSON(into)
        snapshots = []
        for end in range(1, len(text) + 1):
            partial.feed(text[end - 1])
            of, _ = tree(text[:end])
            value = expected(of, into)
            wanted = None if value is ABSENT else value
            assert repr(told(partial.value)) == repr(in_order(wanted, partial.value)), text[:end]
            snapshot = partial.snapshot()
            assert repr(told(snapshot)) == repr(told(partial.value)), text[:end]
            snapshots.append((snapshot, repr(told(snapshot))))
        whole = partial.finish()
        assert partial.value is whole
        assert partial.done
        assert repr(whole) == repr(by_its_library(into, text))
        for snapshot, then in snapshots:
            assert repr(told(snapshot)) == then, "a snapshot has changed"


def in_order(wanted: Any, value: Any) -> Any:
    """The same, for TypedDict and dict in the order in which keys have come: that is not held."""
    if isinstance(wanted, dict):
        real = told(value) if not isinstance(value, dict) or "class" in wanted else value
        real = told(real)
        if isinstance(real, dict) and real.keys() == wanted.keys():
            return {key: in_order(wanted[key], real[key]) for key in real}
    if isinstance(wanted, list) and isinstance(value, list) and len(wanted) == len(value):
        return [in_order(a, b) for a, b in zip(wanted, value, strict=True)]
    return wanted


def by_its_library(into: Any, text: str) -> Any:
    if isinstance(into, type) and issubclass(into, msgspec.Struct):
        return msgspec.json.decode(text, type=into)
    if "Dict" in str(into):  # pydantic refuses typing's own before Python 3.12
        return msgspec.json.decode(text, type=into)
    return pydantic.TypeAdapter(into).validate_json(text)


@pytest.mark.parametrize("into", OWNERS)
def test_any_split_gives_the_same(into: Any) -> None:
    source = random.Random(SEED)
    for text in texts(owner, 10):
        whole = PartialJSON(into)
        whole.feed(text[:-1])
        split = PartialJSON(into)
        data = text[:-1].encode()
        while data:
            size = source.randint(1, 31)
            split.feed(data[:size])
            data = data[size:]
        assert told(split.value) == told(whole.value)


def test_the_value_grows_in_place() -> None:
    partial = PartialJSON(OwnerModel)
    partial.feed('{"title": "a')
    value = partial.value
    assert type(value) is OwnerModel
    assert told(value)["pets"] is None
    assert (value.title, value.tags, value.age) == ("a", [], None)
    partial.feed('b", "pets": [{"legs": 4')
    assert partial.value is value
    assert value.title == "ab"
    assert value.pets == []  # it waits for the name
    partial.feed(', "name": "')
    assert value.pets == [PetModel.model_construct({"name", "legs"}, name="", legs=4)]
    assert value.model_fields_set == {"title", "pets"}


@pytest.mark.parametrize("into", OWNERS)
@pytest.mark.parametrize("key", ["title", "story"])
def test_a_growing_string_is_not_copied_for_a_piece(into: Any, key: str) -> None:
    partial = PartialJSON(into)
    tracemalloc.start()
    try:
        partial.feed(f'{{"{key}": "' + "a" * 1_000_000)
        partial.feed("b")
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(100):
            partial.feed("abcd")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 500_000  # a copy beside it is a million
    partial.feed('"')
    text = told(partial.value)[key]
    assert len(text if key == "title" else text["value"]) == 1_000_401


def test_threads_take_turns_with_a_typed_value() -> None:
    """No snapshot is of the middle of a call, and none comes between another thread's piece."""
    partial = PartialJSON(PetsData)
    partial.feed('{"pets": [')
    fed = threading.Event()
    begin = threading.Barrier(3)
    faults: list[BaseException] = []
    turns = 500

    def look() -> None:
        begin.wait()
        try:
            while not fed.is_set():
                seen = partial.snapshot()
                assert all(type(pet.name) is str for pet in seen.pets)
        except BaseException as error:
            faults.append(error)

    def feed(name: str) -> None:
        begin.wait()
        try:
            for _ in range(turns):
                partial.feed(f'{{"name": "{name}", "legs": 2}}, {{"name": "{name}"}},')
        except BaseException as error:
            faults.append(error)

    looks = threading.Thread(target=look)
    feeds = [threading.Thread(target=feed, args=(name * 100,)) for name in "ab"]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in (looks, *feeds):
            thread.start()
        for thread in feeds:
            thread.join()
        for piece in '{"name": "the last", "legs": 2}]}':
            partial.feed(piece)
    finally:
        sys.setswitchinterval(interval)
        fed.set()
        looks.join()
    assert not faults
    names = [pet.name for pet in partial.value.pets]
    assert names.pop() == "the last"
    assert names[::2] == names[1::2]
    assert sorted(names) == ["a" * 100] * 2 * turns + ["b" * 100] * 2 * turns


def test_a_call_inside_of_a_call_is_refused() -> None:
    """As by a finalizer; here of what a key that comes again replaces."""
    partial = PartialJSON(PetsData)
    partial.feed('{"pets": [')
    raised: list[RuntimeError] = []

    class Caller:
        def __del__(self) -> None:
            for call in (lambda: partial.feed("1"), partial.finish):
                try:
                    call()
                except RuntimeError as error:
                    raised.append(error)

    partial.value.pets = Caller()
    partial.feed('], "pets": [{"name": "x"')
    gc.collect()
    assert len(raised) == 2
    assert told(partial.value)["pets"][0]["name"] == "x"


def test_complete_parts_are_shared_by_snapshots() -> None:
    partial = PartialJSON(OwnerData)
    partial.feed('{"pets": [{"name": "a", "legs": 1}, {"name": "b')
    one = partial.snapshot()
    assert partial.snapshot() is one
    partial.feed('c", "legs": 2}')
    two = partial.snapshot()
    assert one.pets[0] is two.pets[0]
    assert [each.name for each in one.pets] == ["a", "b"]
    assert [each.name for each in two.pets] == ["a", "bc"]


def test_a_key_that_comes_again_has_its_last_value() -> None:
    for text in ('{"title": "ab", "title": "c', '{"title": 1, "title": "c'):
        partial = PartialJSON(OwnerModel)
        partial.feed(text)
        assert partial.value.title == "c"
    partial = PartialJSON(OwnerModel)
    partial.feed('{"title": "par')
    partial.feed('t", "title": [1], "meta": {}')
    assert isinstance(partial.value.title, str)
    once = '{"pets": [{"name": "a", "legs": {"x": 1}}], "meta": {"a": 1}, "pets": [], "meta": 5, '
    partial = PartialJSON(OwnerModel)
    partial.feed(once)
    assert partial.value.pets == []


def test_changes_are_those_of_the_json() -> None:
    partial = PartialJSON(PetDict)
    partial.feed('{"name": "a')
    assert partial.changes() == [((), "set", {"name": "a"}, False)]
    partial.feed('b", "legs": 1}')
    assert partial.changes() == [
        (("name",), "grow", "b", True),
        (("legs",), "set", 1, True),
        ((), "end", None, True),
    ]


# ---- annotations ---------------------------------------------------------------------------------


def seen(into: Any, text: str) -> list[Any]:
    """The different values of a text fed by characters, in plain form."""
    partial = PartialJSON(into)
    values: list[Any] = []
    for character in text:
        partial.feed(character)
        value = told(partial.snapshot())
        if not values or values[-1] != value:
            values.append(value)
    return values


class DoneDict(TypedDict, total=False):
    text: Annotated[str, Done]
    pet: Annotated[PetDict, Done]
    free: Annotated[dict[str, Any], Done]


class StateDict(TypedDict, total=False):
    n: Annotated[int, WithState]
    text: Annotated[str, WithState, Done]
    free: Annotated[dict[str, Any], WithState]
    many: list[Annotated[str, WithState]]


class NeedsBoth(TypedDict, total=False):
    a: Annotated[str, NotNull]
    b: Annotated[str | None, NotNull, Done]
    c: int


class Outer(TypedDict, total=False):
    inner: Annotated[NeedsBoth, NotNull]


def test_done_appears_when_it_is_complete() -> None:
    text = '{"text": "ab", "pet": {"name": "x", "legs": 1}, "free": {"a": [1]}}'
    assert seen(DoneDict, text) == [
        {},
        {"text": "ab"},
        {"text": "ab", "pet": {"name": "x", "legs": 1}},
        {"text": "ab", "pet": {"name": "x", "legs": 1}, "free": {"a": [1]}},
    ]


def test_a_whole_that_is_done_appears_once() -> None:
    assert seen(Annotated[PetDict, Done], '{"name": "x", "legs": 1}') == [
        None,
        {"name": "x", "legs": 1},
    ]


def test_not_null_holds_the_object_back() -> None:
    assert seen(NeedsBoth, '{"c": 1, "a": "x", "b": "yz"}') == [
        None,
        {"c": 1, "a": "x", "b": "yz"},
    ]
    assert seen(NeedsBoth, '{"b": "yz", "a": "x"}')[1:] == [
        {"b": "yz", "a": ""},
        {"b": "yz", "a": "x"},
    ]
    assert seen(Outer, '{"inner": {"a": "", "b": ""}}') == [None, {"inner": {"a": "", "b": ""}}]


def test_an_object_whose_not_null_field_is_null_never_appears() -> None:
    assert seen(NeedsBoth, '{"a": "x", "b": null, "c": 1}') == [None]
    assert seen(list[NeedsBoth], '[{"a": "x", "b": null}, {"a": "y", "b": "z"}]') == [
        [],
        [{"a": "y", "b": "z"}],
    ]


def test_with_state_says_how_far_it_is() -> None:
    def state(value: Any, word: str) -> Any:
        return {"class": "State", "value": value, "state": word}

    pending = state(None, "pending")
    first = {"n": pending, "text": pending, "free": pending}
    values = seen(StateDict, '{"n": 12, "text": "ab", "free": {"a": "b"}, "many": ["x", "y"]}')
    assert values[0] == first
    assert {
        "n": state(12, "complete"),
        "text": state(None, "incomplete"),
        "free": pending,
    } in values
    free = [value["free"] for value in values]
    assert [word["state"] for word in free] == sorted(
        (word["state"] for word in free), key=["pending", "incomplete", "complete"].index
    )
    assert state({"a": ""}, "incomplete") in free
    assert values[-1] == {
        "n": state(12, "complete"),
        "text": state("ab", "complete"),
        "free": state({"a": "b"}, "complete"),
        "many": [state("x", "complete"), state("y", "complete")],
    }
    assert values[-2]["many"][-1] == state("y", "incomplete")


def test_marks_may_be_instances_and_are_gone_from_the_whole() -> None:
    class One(pydantic.BaseModel):
        a: Annotated[str, WithState(), Done()]

    partial = PartialJSON(One)
    partial.feed('{"a": "x"}')
    assert partial.value.a == State("x", "complete")
    assert partial.finish() == One(a="x")


def test_a_state_compares_by_what_it_holds() -> None:
    assert State(1, "complete") == State(1, "complete") != State(1, "incomplete")
    assert State() != None  # noqa: E711
    assert repr(State("a", "incomplete")) == "State('a', 'incomplete')"


# ---- further types -------------------------------------------------------------------------------


class Aliased(pydantic.BaseModel):
    text: str = pydantic.Field(alias="theText")
    other: str = pydantic.Field(validation_alias=pydantic.AliasChoices("o", "other"))
    when: datetime.datetime
    tall: Annotated[int, pydantic.Field(ge=3)] = 5


class Renamed(msgspec.Struct, rename="camel"):
    the_text: str
    when: datetime.date


class TagA(msgspec.Struct, tag="a"):
    text: str


class TagB(msgspec.Struct, tag="b"):
    text: str
    n: int = 0


class Checked(msgspec.Struct):
    n: int

    def __post_init__(self) -> None:
        if self.n < 0:
            raise ValueError("n is negative")


class Private(pydantic.BaseModel):
    a: str
    _b: int = pydantic.PrivateAttr(7)
    _seen: list[str] = pydantic.PrivateAttr(default_factory=list)

    def model_post_init(self, context: Any) -> None:
        self._seen.append(self.a)


@dataclasses.dataclass
class Leaves:
    when: datetime.datetime
    day: datetime.date
    hour: datetime.time
    id: uuid.UUID
    cost: decimal.Decimal
    pair: tuple[int, str]
    many: tuple[int, ...]
    unique: set[str]
    frozen: frozenset[int]
    by_number: dict[int, str]
    color: Color
    either: int | str | None
    nested: PetModel | None = None
    hidden: str = dataclasses.field(default="h", init=False)


LEAVES = {
    "when": "2024-05-06T07:08:09Z",
    "day": "2024-05-06",
    "hour": "07:08:09",
    "id": "12345678-1234-5678-1234-567812345678",
    "cost": "1.50",
    "pair": [1, "a"],
    "many": [1, 2],
    "unique": ["a", "b"],
    "frozen": [3],
    "by_number": {"1": "one"},
    "color": "blue",
    "either": "text",
    "nested": {"name": "x", "legs": 4},
}


def test_fields_come_by_their_names_in_json() -> None:
    partial = PartialJSON(Aliased)
    partial.feed('{"theText": "a", "o": "b", "when": "2024-05-06T07:08:09')
    assert (partial.value.text, partial.value.other, partial.value.when) == ("a", "b", None)
    partial.feed('Z", "tall": 4}')
    assert partial.value.when == datetime.datetime(
        2024, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc
    )
    assert partial.finish().tall == 4
    struct = PartialJSON(Renamed)
    struct.feed('{"theText": "a", "when": "2024-05-06"')
    assert (struct.value.the_text, struct.value.when) == ("a", datetime.date(2024, 5, 6))


def test_struct_tags_tell_which_class_it_is() -> None:
    partial = PartialJSON(list[TagA | TagB])
    partial.feed('[{"text": "x", "n": 5, "type": "b", "te')
    assert partial.value == [TagB("x", 5)]
    partial.feed('xt": "y"}, {"type": "a", "text": "z')
    assert partial.value == [TagB("y", 5), TagA("z")]
    partial.feed('"}]')
    assert partial.finish() == [TagB("y", 5), TagA("z")]


def test_no_code_of_a_class_runs_before_the_whole_is_there() -> None:
    struct = PartialJSON(Checked)
    struct.feed("{")
    assert isinstance(struct.value, Checked)
    struct.feed('"n": -1}')
    assert struct.value.n == -1
    with pytest.raises(ValidationError, match="n is negative"):
        struct.finish()
    model = PartialJSON(Private)
    model.feed('{"a": "x')
    assert (model.value._b, model.value._seen) == (7, [])
    model.feed('"}')
    assert model.finish()._seen == ["x"]


def test_a_dataclass_of_many_types() -> None:
    partial = PartialJSON(Leaves)
    partial.feed(json.dumps(LEAVES)[:-1])
    value = partial.value
    assert value == partial.snapshot()
    partial.feed("}")
    whole = partial.finish()
    assert whole == value == pydantic.TypeAdapter(Leaves).validate_python(LEAVES)
    assert whole.hidden == "h"


@pytest.mark.parametrize(
    ("member", "path"),
    [
        ({"when": "noon"}, ("when",)),
        ({"when": 5}, ("when",)),
        ({"pair": [1]}, ("pair",)),
        ({"pair": [1, 2]}, ("pair", 1)),
        ({"many": [1, "x"]}, ("many", 1)),
        ({"unique": "ab"}, ("unique",)),
        ({"by_number": {"one": "x"}}, ("by_number", "one")),
        ({"by_number": {"1": 2}}, ("by_number", "1")),
        ({"color": "green"}, ("color",)),
        ({"color": ["red"]}, ("color",)),
        ({"either": 1.5}, ("either",)),
        ({"either": True}, ("either",)),
        ({"nested": {"name": "x"}}, ("nested", "legs")),
        ({"cost": "cheap"}, ("cost",)),
        ({"id": "1"}, ("id",)),
    ],
)
def test_what_a_dataclass_does_not_take_is_named(member: Any, path: Any) -> None:
    partial = PartialJSON(Leaves)
    partial.feed(json.dumps({**LEAVES, **member}))
    with pytest.raises(ValidationError) as caught:
        partial.finish()
    assert caught.value.path == path
    assert caught.value.value == {**LEAVES, **member}


@pytest.mark.parametrize(
    ("into", "text", "path"),
    [
        (PetModel, '{"name": "x", "legs": "many"}', ("legs",)),
        (PetData, '{"name": "x", "legs": "many"}', ("legs",)),
        (PetData, '{"name": "x", "legs": true}', ("legs",)),
        (PetData, '{"name": "x", "legs": 1.5}', ("legs",)),
        (PetData, '{"name": null, "legs": 1}', ("name",)),
        (PetData, '{"legs": 1}', ("name",)),
        (PetDict, '{"name": "x"}', ("legs",)),
        (PetStruct, '{"name": "x", "legs": "many"}', ("legs",)),
        (list[PetStruct], '[{"name": "x", "legs": 1}, {"name": 5, "legs": 1}]', (1, "name")),
        (list[PetModel], '[{"name": "x", "legs": 1}, {"name": 5, "legs": 1}]', (1, "name")),
        (Tree, '{"name": "a", "children": [{"name": 1}]}', ("children", 0, "name")),
        (dict[str, PetData], '{"k": {"name": "x", "legs": []}}', ("k", "legs")),
    ],
)
def test_the_final_value_is_validated(into: Any, text: str, path: Any) -> None:
    partial = PartialJSON(into)
    partial.feed(text)
    with pytest.raises(ValidationError) as caught:
        partial.finish()
    assert caught.value.path == path
    assert caught.value.value == json.loads(text)
    assert isinstance(caught.value, millstream.Error)
    if "Model" in str(into) or into is Tree:
        assert isinstance(caught.value.__cause__, pydantic.ValidationError)
    if "Struct" in str(into):
        assert isinstance(caught.value.__cause__, msgspec.ValidationError)


def test_what_does_not_fit_has_no_place_while_it_streams() -> None:
    partial = PartialJSON(OwnerData)
    partial.feed('{"title": 5, "height": "tall", "pets": {"a": 1}, "tags": ["a", 1, "b", [], "c"')
    value = partial.value
    assert (value.title, value.height, value.pets, value.tags) == (
        None,
        None,
        None,
        ["a", "b", "c"],
    )


class Odd(NamedTuple):
    a: int


@pytest.mark.parametrize("into", [Odd, complex, 5, list[complex], "OwnerData", TypedDict])
def test_a_type_that_cannot_be_read_is_a_type_error(into: Any) -> None:
    with pytest.raises(TypeError, match="into"):
        PartialJSON(into)


def test_roots_of_other_kinds() -> None:
    assert seen(str, '"abc"')[-1] == "abc"
    for into, text, value in (
        (int, "12", 12),
        (int | None, "null", None),
        (Color, '"red"', Color.RED),
        (str | list[int], "[1, 2]", [1, 2]),
        (pydantic.RootModel[list[PetModel]], "[]", pydantic.RootModel[list[PetModel]]([])),
        (Annotated[int, pydantic.Field(ge=3)], "4", 4),
    ):
        partial = PartialJSON(into)
        partial.feed(text)
        assert partial.finish() == value


def test_text_around_the_json_is_skipped() -> None:
    for into, json_text in ((PetDict, '{"name": "x", "legs": 1}'), (list[int], "[1, 2]")):
        partial = PartialJSON(into)
        partial.feed(f"Here [it] is:\n```json\n{json_text}\n```\nDone {{}}.")
        assert partial.finish() == json.loads(json_text)


def test_it_frees_what_it_held() -> None:
    partial = PartialJSON(OwnerModel)
    partial.feed('{"title": "a", "pets": [{"name": "x')
    del partial
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is OwnerModel]


def test_neither_library_is_imported_for_types_that_are_not_theirs() -> None:
    program = (
        "import sys, dataclasses, millstream\n"
        "@dataclasses.dataclass\n"
        "class A:\n    a: str\n    b: list[int]\n"
        'p = millstream.PartialJSON(A); p.feed(\'{"a": "x", "b": [1]}\')\n'
        "assert p.finish() == A('x', [1])\n"
        "assert not {'pydantic', 'msgspec'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


class Opaque:
    """What only the model that has it can make."""

    def __init__(self, value: int) -> None:
        self.value = value


class OpaqueModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    opaque: Opaque
    after: str

    @pydantic.field_validator("opaque", mode="before")
    @classmethod
    def make(cls, value: int) -> Opaque:
        return Opaque(value)


def test_what_only_its_model_can_make_comes_with_the_whole() -> None:
    partial = PartialJSON(OpaqueModel)
    partial.feed('{"opaque": 3, "after": "x')
    assert (partial.value.opaque, partial.value.after) == (None, "x")
    partial.feed('"}')
    assert partial.finish().opaque.value == 3


T = TypeVar("T")
U = TypeVar("U")


@dataclasses.dataclass
class PageData(Generic[T]):
    first: T
    rows: list[T]
    next: PageData[T] | None = None


class PageDict(typing_extensions.TypedDict, Generic[T], total=False):
    first: T
    rows: typing_extensions.Required[list[T]]
    next: PageDict[T] | None


class PageStruct(msgspec.Struct, Generic[T]):
    first: T
    rows: list[T]
    next: PageStruct[T] | None = None


class PageModel(pydantic.BaseModel, Generic[T]):
    first: T
    rows: list[T]
    next: PageModel[T] | None = None


@dataclasses.dataclass
class PetPage(PageData[PetData]):
    owner: str = ""


@dataclasses.dataclass
class PairPage(PageData[T], Generic[T, U]):
    """Inherits what is given to it, and says its own of one field."""

    rows: list[U] = dataclasses.field(default_factory=list)  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("into", "pet"),
    [
        (PageData[PetData], PetData),
        (PageDict[PetData], PetData),
        (PageStruct[PetStruct], PetStruct),
        (PageModel[PetModel], PetModel),
        (PetPage, PetData),
        (PairPage[PetData, PetData], PetData),
    ],
)
def test_a_generic_class_is_of_what_it_was_given(into: Any, pet: Any) -> None:
    text = '{"first": {"name": "a", "legs": 1}, "rows": [{"name": "b", "legs": 2}], "next": %s}'
    partial = PartialJSON(into)
    partial.feed((text % (text % "null"))[:-1])

    def field(page: Any, name: str) -> Any:
        return page[name] if isinstance(page, dict) else getattr(page, name)

    def check(page: Any) -> None:
        assert field(page, "first") == pet(name="a", legs=1)
        assert field(page, "rows") == [pet(name="b", legs=2)]

    for page in (partial.value, partial.snapshot()):
        check(page)
        check(field(page, "next"))
    partial.feed("}")
    check(field(partial.finish(), "next"))
    with pytest.raises(ValidationError) as caught:
        finished(into, '{"first": {"name": 1}, "rows": []}')
    assert caught.value.path[0] == "first"


def finished(into: Any, text: str) -> Any:
    partial = PartialJSON(into)
    partial.feed(text)
    return partial.finish()


def test_type_variables_that_are_not_given_take_anything() -> None:
    page = finished(PageData, '{"first": [1], "rows": ["a", null]}')
    assert page == PageData[Any](first=[1], rows=["a", None])
    pair = finished(PairPage[int, str], '{"first": 1, "rows": ["a"]}')
    assert pair == PairPage(first=1, rows=["a"])
    with pytest.raises(ValidationError, match="rows"):
        finished(PairPage[int, str], '{"first": 1, "rows": [1]}')


# ---- lenient mode --------------------------------------------------------------------------------


class Loose(TypedDict, total=False):
    count: int
    price: float
    ok: bool
    name: str
    color: Color
    tags: list[str]
    pets: list[PetData]
    maybe: int | None
    either: int | list[int]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"count": "12"}, {"count": 12}),
        ({"count": "1,200"}, {"count": 1200}),
        ({"count": " -3 "}, {"count": -3}),
        ({"count": "2.0"}, {"count": 2}),
        ({"price": "$1,234.50"}, {"price": 1234.5}),
        ({"price": "1e3"}, {"price": 1000.0}),
        ({"ok": "True"}, {"ok": True}),
        ({"name": 12}, {"name": "12"}),
        ({"name": True}, {"name": "true"}),
        ({"color": "Red"}, {"color": Color.RED}),
        ({"color": "BLUE "}, {"color": Color.BLUE}),
        ({"tags": "one"}, {"tags": ["one"]}),
        ({"pets": {"name": "x", "legs": "4"}}, {"pets": [PetData("x", 4)]}),
        ({"maybe": "null"}, {"maybe": None}),
        ({"Count": 1}, {"count": 1}),
        ({"PRICE ": 1}, {"price": 1.0}),
        ({"either": "5"}, {"either": 5}),
        ({"name": ["one"]}, {"name": "one"}),
        ({"count": ["7"]}, {"count": 7}),
        ({"tags": '["one", "two"]'}, {"tags": ["one", "two"]}),
        ({"pets": [['{"name": "x", "legs": 4}']]}, {"pets": [PetData("x", 4)]}),
        ({"pets": '{"name": "x", "legs": "4"}'}, {"pets": [PetData("x", 4)]}),
    ],
)
def test_lenient_coerces_toward_the_type_and_says_so(given: Any, taken: Any) -> None:
    text = json.dumps(given)
    partial = PartialJSON(Loose, lenient=True)
    for character in text:
        partial.feed(character)
    assert partial.value == taken
    assert partial.finish() == taken
    assert partial.coercions
    assert partial.repairs == ()
    strict = PartialJSON(Loose)
    strict.feed(text)
    try:
        assert strict.finish() != taken
    except ValidationError:
        pass


@pytest.mark.parametrize(
    "given",
    [
        {"count": "few"},
        {"count": "2.5"},
        {"ok": "perhaps"},
        {"color": "pink"},
        {"tags": 5.5},
        {"name": ["one", "two"]},
        {"pets": "{not JSON}"},
    ],
)
def test_lenient_does_not_guess(given: Any) -> None:
    partial = PartialJSON(Loose, lenient=True)
    partial.feed(json.dumps(given))
    if "tags" in given:
        assert partial.finish() == {"tags": ["5.5"]}
        return
    with pytest.raises(ValidationError):
        partial.finish()


@pytest.mark.parametrize("into", OWNERS)
def test_lenient_reads_what_models_write(into: Any) -> None:
    text = """Sure! Here it is:
    ```json
    {
      // the owner
      title: 'Ms "M"', "Height": "1.80", "nick": "n", "story": "s",
      "pets": {"name": "x", "legs": "4",},
      "whole": [], "words": {}, "meta": {}, "grade": "A", "age": None"""
    partial = PartialJSON(into, lenient=True)
    partial.feed(text)
    whole = partial.finish()
    value = told(whole)
    assert (value["title"], value["height"], value["grade"]) == ('Ms "M"', 1.8, "a")
    assert [each["legs"] for each in value["pets"]] == [4]
    kinds = {each.kind for each in partial.repairs}
    assert kinds >= {"comment", "bare_key", "single_quotes", "trailing_comma", "missing_closer"}
    paths = {each.path for each in partial.coercions}
    assert paths >= {("Height",), ("pets",), ("grade",)}


def test_strict_repairs_nothing() -> None:
    partial = PartialJSON(Loose)
    with pytest.raises(millstream.ProtocolError):
        partial.feed("{count: 1}")
    assert partial.repairs == ()


# ---- streams -------------------------------------------------------------------------------------

ANSWER = (
    '{"title": "Mill", "height": 2, "nick": "n", "story": "It \\u00e9 turns.", '
    '"pets": [{"name": "a", "legs": 4}, {"name": "b", "legs": 2}], "whole": [], "words": {}, '
    '"meta": {}, "grade": "a"}'
)
FENCED = f"Sure, here it is:\n```json\n{ANSWER}\n```\nAnything else?"
PETS = [PetModel(name="a", legs=4), PetModel(name="b", legs=2)]


def by_tokens(text: str, size: int = 4) -> mock.Answer:
    return mock.Answer([text[at : at + size] for at in range(0, len(text), size)])


@pytest.mark.parametrize("into", OWNERS)
@pytest.mark.parametrize("text", [ANSWER, FENCED])
def test_partials_of_a_stream(ask: Ask, into: Any, text: str) -> None:
    pieces, told_values = 0, []
    for value in ask(by_tokens(text)).partials(into):
        told_values.append(told(value))
        pieces += 1
    assert repr(value) == repr(by_its_library(into, ANSWER))
    titles = list(dict.fromkeys(each.get("title") for each in told_values))
    assert titles[-1] == "Mill"
    assert all("Mill".startswith(title or "") for title in titles)
    assert pieces > 20


def test_each_partial_is_what_the_text_so_far_says(ask: Ask) -> None:
    stream = ask(by_tokens(ANSWER))
    values = stream.partials(OwnerDict)
    for value in values:
        text = stream.message.text
        if text == ANSWER:
            break
        assert told(value) == expected(tree(text)[0], OwnerDict)
    assert list(values)[-1] == value_at(ANSWER)


def test_items_come_once_as_soon_as_they_are_complete(serve: Serve, connect: Connect) -> None:
    gate = mock.Gate()
    before, after = ANSWER.split(", {", 1)
    server = serve(mock.Answer([before, gate, ", {", after]))
    stream = connect(server).stream(model="m", messages=MESSAGES)
    items = stream.items(PetModel, path="pets")
    assert next(items) == PETS[0]  # what comes behind its brace is held back by the server
    gate.open()
    assert list(items) == PETS[1:]


@pytest.mark.parametrize(
    ("text", "path", "count"),
    [
        (ANSWER, "pets", 2),
        (ANSWER, ("pets",), 2),
        ('{"cats": [{"name": "q", "legs": 3}], "pets": [{"name": "x", "legs": 1}]}', "pets", 1),
        ('{"a": {"b": [[{"name": "x", "legs": 1}], []]}}', ("a", "b", 0), 1),
        ('[{"name": "x", "legs": 1}, {"name": "y", "legs": 1}]', "", 2),
        ('{"items": []}', "items", 0),
    ],
)
def test_items_of_any_array(ask: Ask, text: str, path: Any, count: int) -> None:
    assert len(list(ask(by_tokens(text)).items(PetModel, path))) == count


@pytest.mark.parametrize(
    ("into", "array"),
    [(int, "[1, 2, 3]"), (str, '["a", "", "\\n"]'), (Any, "[null, [1], {}]"), (list[int], "[[1]]")],
)
def test_items_of_any_type(ask: Ask, into: Any, array: str) -> None:
    stream = ask(by_tokens(f'{{"items": {array}}}'))
    assert list(stream.items(into)) == json.loads(array)


def test_items_where_there_is_no_array(ask: Ask) -> None:
    with pytest.raises(ValidationError, match="pets: is no array") as caught:
        list(ask('{"pets": 5}').items(PetModel, "pets"))
    assert caught.value.path == ("pets",)
    with pytest.raises(TypeError, match="path"):
        ask(ANSWER).items(PetModel, (None,))  # type: ignore[arg-type]


def test_an_item_that_is_none_is_named(ask: Ask) -> None:
    items = ask('{"items": [{"name": "a", "legs": 1}, {"name": "b"}]}').items(PetModel)
    assert next(items).name == "a"
    with pytest.raises(ValidationError) as caught:
        next(items)
    assert caught.value.path == ("items", 1, "legs")
    assert caught.value.message is not None
    assert '"a"' in caught.value.message.text


@pytest.mark.parametrize("into", OWNERS)
def test_result_is_the_validated_whole(ask: Ask, into: Any) -> None:
    stream = ask(FENCED)
    assert repr(stream.result(into)) == repr(by_its_library(into, ANSWER))
    assert stream.result().text == FENCED
    assert repr(stream.result(into)) == repr(by_its_library(into, ANSWER))  # again


def test_what_was_read_before_is_part_of_the_answer(ask: Ask) -> None:
    stream = ask(by_tokens(ANSWER))
    for _ in range(12):
        next(stream)
    assert list(stream.items(PetModel, "pets")) == PETS
    assert list(stream.items(PetModel, "pets")) == PETS
    assert list(stream.partials(OwnerModel))[-1] == stream.result(OwnerModel)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("I cannot tell.", "not the JSON"),
        ('{"title": "x" 5}', "not the JSON"),
        (mock.Answer(ANSWER[:40], finish_reason="length"), 'finish_reason "length"'),
        (mock.Answer(refusal="Never."), "the model refused: Never."),
    ],
)
def test_an_answer_that_is_no_json(ask: Ask, answer: Any, says: str) -> None:
    for read in (
        lambda stream: stream.result(OwnerModel),
        lambda stream: list(stream.partials(OwnerModel)),
        lambda stream: list(stream.items(PetModel, "pets")),
    ):
        with pytest.raises(ValidationError, match=says) as caught:
            read(ask(answer))
        assert caught.value.message is not None
        assert isinstance(caught.value.__cause__, millstream.ProtocolError)


def test_an_answer_of_another_type(ask: Ask) -> None:
    with pytest.raises(ValidationError, match="legs") as caught:
        ask('{"name": "x", "legs": "no"}').result(PetModel)
    assert caught.value.path == ("legs",)
    assert caught.value.value == {"name": "x", "legs": "no"}
    assert caught.value.message is not None
    assert caught.value.message.text == '{"name": "x", "legs": "no"}'


def test_faults_of_the_stream_come_as_they_are_behind_what_came(ask: Ask) -> None:
    values = ask(mock.Answer(ANSWER, cut_after=20)).partials(OwnerModel)
    seen: list[OwnerModel] = []
    with pytest.raises(millstream.StreamInterrupted):
        seen.extend(values)
    assert seen[-1].title == "Mill"


def test_lenient_streams_list_what_they_repaired(ask: Ask) -> None:
    stream = ask("{name: 'x', legs: '4'")
    assert stream.result(PetModel, lenient=True) == PetModel(name="x", legs=4)
    assert Coercion(("legs",), "4", 4) in stream.coercions
    assert {each.kind for each in stream.repairs} == {
        "bare_key", "single_quotes", "missing_closer",
    }  # fmt: skip
    stream = ask("{items: [{name: 'x', legs: '4'}]}")
    assert list(stream.items(PetModel, lenient=True)) == [PetModel(name="x", legs=4)]
    assert Coercion(("items", 0, "legs"), "4", 4) in stream.coercions
    assert (ask(ANSWER).repairs, ask(ANSWER).coercions) == ((), ())


def test_only_the_first_choice_is_read(ask: Ask) -> None:
    answer = mock.Answer('{"a": 1}', choices=[mock.Answer('{"a": 2}')])
    assert list(ask(answer).partials(dict))[-1] == {"a": 1}


# ---- tool calls ----------------------------------------------------------------------------------


class Weather(pydantic.BaseModel):
    city: str
    days: int = 1


TOOLS = mock.Answer(
    tool_calls=[
        mock.ToolCall("weather", {"city": "Ulm", "days": 3}),
        mock.ToolCall("now", {}),
        mock.ToolCall("pets", {"items": [{"name": "a", "legs": 4}]}),
    ]
)


def test_the_arguments_of_tool_calls_grow(ask: Ask) -> None:
    seen: dict[str, list[Any]] = {}
    done: dict[str, Any] = {}
    types: dict[str, Any] = {"weather": Weather, "now": dict, "pets": dict[str, list[PetModel]]}
    for call in ask(TOOLS).tool_calls():
        value = call.partial(types[call.name])
        seen.setdefault(call.name, []).append(value)
        if call.done:
            done[call.name] = call.result(types[call.name])
    assert done == {"weather": Weather(city="Ulm", days=3), "now": {}, "pets": {"items": PETS[:1]}}
    assert len({id(value) for value in seen["weather"] if value is not None}) == 1  # in place
    assert len(seen["weather"]) > 3


def test_a_call_is_done_with_its_last_brace(serve: Serve, connect: Connect) -> None:
    gate = mock.Gate()
    fields = head(Transfer_Encoding="chunked")
    first, second = tool_call(0, "a", '{"x": "1"}'), tool_call(1, "b", "{}")
    last = http_chunks([chat(finish="tool_calls"), DONE]) + LAST_CHUNK
    server = serve(mock.Raw([fields, http_chunks([first]), gate, http_chunks([second]), last]))
    for call in connect(server).stream(model="m", messages=MESSAGES).tool_calls():
        if call.name == "a" and call.done:
            assert call.result(dict) == {"x": "1"}
            gate.open()  # before that the server sends nothing more
    assert (call.name, call.done, call.result(dict)) == ("b", True, {})


def tool_call(index: int, name: str, arguments: str) -> bytes:
    call = {"index": index, "id": name, "function": {"name": name, "arguments": arguments}}
    return event({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})


def test_arguments_that_are_broken_or_of_another_type(ask: Ask) -> None:
    (*_, call) = ask(mock.Answer(tool_calls=[mock.ToolCall("a", '{"city": 5')])).tool_calls()
    assert call.done  # for the stream has ended
    with pytest.raises(ValidationError, match="arguments of a"):
        call.result(Weather)
    assert call.result(Weather, lenient=True) == Weather(city="5")
    (*_, call) = ask(mock.Answer(tool_calls=[mock.ToolCall("a", '{"city": [}')])).tool_calls()
    with pytest.raises(ValidationError, match="arguments of a"):
        call.partial(Weather)
    (*_, call) = ask(mock.Answer(tool_calls=[mock.ToolCall("a", "")])).tool_calls()
    with pytest.raises(ValidationError, match="city"):
        call.result(Weather)


# ---- asynchronous --------------------------------------------------------------------------------


def test_the_same_names_in_an_event_loop(serve: Serve) -> None:
    server = serve([by_tokens(ANSWER)] * 3 + [TOOLS, "no JSON"])

    async def main() -> None:
        client = millstream.AsyncClient(base_url=server.url, api_key="k")

        def ask() -> millstream.AsyncStream:
            return client.stream(model="m", messages=MESSAGES)

        values = [told(value) async for value in ask().partials(OwnerModel)]
        assert values[-1] == told(by_its_library(OwnerModel, ANSWER))
        assert values[10]["title"] == "Mill"
        assert [item async for item in ask().items(PetModel, "pets")] == PETS
        assert await ask().result(OwnerModel) == by_its_library(OwnerModel, ANSWER)
        calls = [call async for call in ask().tool_calls() if call.done]
        assert {call.name for call in calls} == {"weather", "now", "pets"}
        stream = ask()
        with pytest.raises(ValidationError) as caught:
            async for _ in stream.partials(OwnerModel):
                pass
        assert caught.value.message is not None
        assert stream.repairs == ()

    asyncio.run(main())
