"""The chat page of `millstream demo --web`, used in a real Chromium against a mock server."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from answers import GIVE_UP_S
from browser import Tabs
from chat_page import Chat, Demo, demo
from conftest import Serve
from millstream import mock

pytest.importorskip("playwright.sync_api", reason="skipped: no playwright for this interpreter")
pytest.importorskip("uvicorn", reason="skipped: no uvicorn for this interpreter")

from playwright.sync_api import expect  # it waits until what is expected holds

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect.set_options(timeout=GIVE_UP_S * 1000)

SOON_S = 10  # less than what the server waits for a reader to come back
DOCS = Path(__file__).parents[2] / "docs"
PHONE = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}

Begin = Callable[..., Chat]


@pytest.fixture(scope="module")
def own_mock() -> Iterator[Demo]:
    """The page on the mock server that is built in, as fast as it goes."""
    with demo("--pace", "0") as running:
        yield running


@pytest.fixture
def begin(serve: Serve, tabs: Tabs) -> Iterator[Begin]:
    """Open the page of a server: `begin(mock server or script, **options of the tab)`."""
    running: list[Demo] = []
    pages: list[Page] = []

    def start(to: mock.Server | mock.Script, *arguments: str, **options: Any) -> Chat:
        server = to if isinstance(to, mock.Server) else serve(to)
        running.append(Demo("--base-url", server.url, "--model", "m", *arguments))
        pages.append(tabs.open(running[-1].url, **options))
        return Chat(pages[-1])

    yield start
    for page in pages:  # before their servers: a page whose server has gone logs an error
        page.context.close()
    for each in running:
        each.stop()


# ---- a conversation ------------------------------------------------------------------------------


def test_the_text_is_seen_to_grow(begin: Begin) -> None:
    gates = [mock.Gate(), mock.Gate()]
    chat = begin(mock.Answer(["One ", gates[0], "two ", gates[1], "three."]))
    chat.ask("Count")
    expect(chat.answer).to_have_text("One")
    gates[0].open()
    expect(chat.answer).to_have_text("One two")
    expect(chat.stop).to_be_visible()
    gates[1].open()
    expect(chat.answer).to_have_text("One two three.")
    expect(chat.send).to_be_visible()
    expect(chat.strip).to_contain_text("Done")


def test_the_strip_tells_what_the_answer_costs(begin: Begin) -> None:
    gate = mock.Gate()
    chat = begin(mock.Answer([*["word "] * 50, gate, "end."]))
    chat.ask("Go")
    expect(chat.page.locator("#first-chunk")).to_contain_text("ms")  # while it streams
    gate.open()
    expect(chat.strip).to_contain_text("Done")
    expect(chat.page.locator("#rate")).not_to_have_text("–")
    held = chat.page.locator("#gil").inner_text()
    assert float(held.split()[0]) > 0
    assert held.endswith("%")


def test_the_whole_conversation_is_sent(begin: Begin, serve: Serve) -> None:
    server = serve(["First.", "Second."])
    chat = begin(server)
    chat.ask("A")
    expect(chat.answer).to_have_text("First.")
    expect(chat.send).to_be_visible()
    chat.ask("B\nC")
    expect(chat.answer).to_have_text("Second.")
    assert server.requests[-1].json()["messages"] == [
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "First."},
        {"role": "user", "content": "B\nC"},
    ]


@pytest.mark.parametrize("said", ["", "One"])
def test_stop_reaches_the_upstream(begin: Begin, serve: Serve, said: str) -> None:
    """Nothing but the stop can end this answer: the gate behind `said` is never opened."""
    gate = mock.Gate()
    server = serve([mock.Answer([said, gate, "never"]), "Fine."])
    chat = begin(server)
    chat.ask("Go")
    if said:
        expect(chat.answer).to_have_text(said)
    assert gate.wait_reached(GIVE_UP_S)
    expect(chat.stop).to_be_visible()
    assert server.connections.disconnected == 0
    clicked = time.monotonic()
    chat.stop.click()
    assert server.wait_disconnected(timeout=SOON_S)
    print(f"the upstream saw it {1000 * (time.monotonic() - clicked):.0f} ms after the click")
    expect(chat.page.get_by_text("Stopped.", exact=True).first).to_be_visible()
    expect(chat.question).to_be_focused()
    chat.ask("Again")
    expect(chat.answer).to_have_text("Fine.")
    partial = [{"role": "assistant", "content": said}] if said else []
    assert server.requests[-1].json()["messages"][1:-1] == partial


def test_reload_in_the_middle_and_the_rest_arrives(begin: Begin, serve: Serve) -> None:
    gates = [mock.Gate(), mock.Gate()]
    server = serve(mock.Answer(["One ", gates[0], "two ", gates[1], "three."], reasoning="Hm."))
    chat = begin(server)
    chat.ask("Count")
    expect(chat.answer).to_have_text("One")
    resumed: list[str | None] = []
    chat.page.on(
        "request",
        lambda request: (
            resumed.append(request.headers.get("last-event-id"))
            if request.url.rpartition("/")[0].endswith("/answers")
            else None
        ),
    )
    chat.page.reload()
    expect(chat.answer).to_have_text("One")  # what was there, before anything new has come
    gates[0].open()
    expect(chat.answer).to_have_text("One two")
    chat.page.reload()
    gates[1].open()
    expect(chat.answer).to_have_text("One two three.")
    expect(chat.send).to_be_visible()
    expect(chat.page.locator("details")).to_have_count(1)
    assert len(server.requests) == 1
    assert len(resumed) == 2
    assert all(map(int, (each or "0" for each in resumed))), "not from the beginning"
    chat.page.reload()  # and when all is over, nothing is asked for again
    expect(chat.answer).to_have_text("One two three.")
    assert len(server.requests) == 1
    assert len(resumed) == 2


def test_the_connection_to_the_page_breaks_and_is_made_again(begin: Begin, tabs: Tabs) -> None:
    gate = mock.Gate()
    tabs.allow("ERR_FAILED")
    chat = begin(mock.Answer(["One ", gate, "two."]))
    chat.page.route("**/api/answers/*", lambda route: route.abort(), times=1)
    chat.ask("Count")
    expect(chat.answer).to_have_text("One")
    gate.open()
    expect(chat.answer).to_have_text("One two.")


def test_an_error_of_the_upstream_is_shown_and_tried_again(begin: Begin, serve: Serve) -> None:
    server = serve([mock.Answer("Half of it", error="The wheel broke."), "All of it."])
    chat = begin(server)
    chat.ask("Go")
    alert = chat.page.get_by_role("alert")
    expect(alert).to_contain_text("The wheel broke.")
    expect(chat.answer).to_have_text("Half of it")
    expect(chat.strip).to_contain_text("Failed")
    chat.page.reload()
    expect(alert).to_contain_text("The wheel broke.")
    alert.get_by_role("button", name="Try again").click()
    expect(chat.answer).to_have_text("All of it.")
    expect(alert).to_have_count(0)
    assert server.requests[1].json() == server.requests[0].json()


def test_what_a_provider_refuses_is_shown(begin: Begin) -> None:
    chat = begin(mock.Error(401, "No such key."))
    chat.ask("Go")
    alert = chat.page.get_by_role("alert")
    expect(alert).to_contain_text("AuthenticationError")
    expect(alert).to_contain_text("No such key.")


def test_a_server_that_has_gone_is_told(tabs: Tabs) -> None:
    tabs.allow("ERR_CONNECTION_REFUSED|Failed to load resource")
    with demo("--pace", "0") as running:
        chat = Chat(tabs.open(running.url))
        expect(chat.page.locator(".suggestions")).to_contain_text("water mill")
    chat.ask("Anybody?")
    expect(chat.page.get_by_role("alert")).to_contain_text("cannot be reached")


def test_two_tabs_have_an_answer_each(begin: Begin, serve: Serve) -> None:
    gates = {name: mock.Gate() for name in "AB"}

    def script(request: mock.Request) -> mock.Answer:
        name = request.json()["messages"][-1]["content"]
        return mock.Answer([f"{name} one ", gates[name], "two."])

    server = serve(script)
    first = begin(server)
    second = Chat(first.page.context.new_page())
    second.page.goto(first.page.url)
    first.ask("A")
    second.ask("B")
    expect(first.answer).to_have_text("A one")
    expect(second.answer).to_have_text("B one")
    second.stop.click()
    assert server.wait_disconnected(timeout=SOON_S)
    gates["A"].open()
    expect(first.answer).to_have_text("A one two.")
    expect(second.answer).to_have_text("B one")
    assert server.connections.disconnected == 1


def test_reasoning_is_folded(begin: Begin) -> None:
    chat = begin(mock.Answer("Four.", reasoning="Two and two."))
    chat.ask("2 + 2")
    expect(chat.answer).to_have_text("Four.")
    thought = chat.page.get_by_text("Two and two.")
    expect(thought).to_be_hidden()
    chat.page.get_by_text("Reasoning").click()
    expect(thought).to_be_visible()


def test_a_tool_is_called_and_its_result_is_sent(begin: Begin, serve: Serve) -> None:
    call = mock.ToolCall("roll_dice", {"count": 2, "sides": 6}, id="call_1")
    server = serve([mock.Answer(tool_calls=[call]), "Done."])
    chat = begin(server, "--tools")
    chat.ask("Roll")
    expect(chat.answer).to_have_text("Done.")
    shown = chat.page.locator("details.call")
    expect(shown).to_contain_text('roll_dice({"count": 2, "sides": 6})')
    expect(shown).to_contain_text("done")
    first, second = (request.json() for request in server.requests)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["current_time", "roll_dice"]
    made, result = second["messages"][1:]
    assert made["tool_calls"][0]["id"] == result["tool_call_id"] == "call_1"
    assert all(1 <= int(number) <= 6 for number in result["content"].split(", "))


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "ollama", "openai-responses"])
def test_other_providers(begin: Begin, serve: Serve, provider: str) -> None:
    """A whole round in another wire format: a call, its result, the answer to it."""
    call = mock.ToolCall("roll_dice", {"count": 1}, id="call_1")
    server = serve([mock.Answer("I roll.", tool_calls=[call]), "Done."])
    arguments = ["--provider", provider, "--base-url", server.base_url(provider), "--tools"]
    chat = begin(server, *arguments)
    expect(chat.page.locator("#model")).to_have_text(f"{provider} · m")
    chat.ask("Roll")
    expect(chat.answer).to_have_text("Done.")
    assert b"roll_dice" in server.requests[1].body
    assert len(server.requests) == 2


def test_a_call_that_fails_is_told_to_the_model(begin: Begin, serve: Serve) -> None:
    server = serve([mock.Answer(tool_calls=[mock.ToolCall("format_disk", {})]), "Sorry."])
    chat = begin(server)
    chat.ask("Go")
    expect(chat.answer).to_have_text("Sorry.")
    expect(chat.page.locator("details.call")).to_contain_text("failed")
    assert "there is no tool" in server.requests[1].json()["messages"][-1]["content"]


def test_a_new_chat_stops_the_answer_and_forgets(begin: Begin, serve: Serve) -> None:
    server = serve(mock.Answer(["One", mock.Gate()]))
    chat = begin(server)
    chat.ask("Go")
    expect(chat.answer).to_have_text("One")
    chat.page.get_by_role("button", name="New chat").click()
    assert server.wait_disconnected(timeout=SOON_S)
    expect(chat.page.locator(".turn")).to_have_count(0)
    expect(chat.page.get_by_role("heading", name="Set the wheel turning")).to_be_visible()
    chat.page.reload()
    expect(chat.page.locator(".turn")).to_have_count(0)


# ---- what a model says is text -------------------------------------------------------------------

HOSTILE = """\
<script>document.title = "run"</script>

<img src=x onerror="document.title='run'"> **<svg onload=alert(1)>**

[a](javascript:alert(1)) [b](data:text/html,x) <javascript:alert(1)> ![c](https://evil.test/p.png)

| <b>x</b> |
|---|
| `<iframe>` |

```html
<script>alert(1)</script>
```
"""


def test_a_script_tag_is_shown_as_text(begin: Begin) -> None:
    """`tabs` fails this test where the page logs an error, a violation of the CSP among them."""
    chat = begin(mock.Answer(HOSTILE, reasoning="<script>1</script>"))
    chat.page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    requested: list[str] = []
    chat.page.on("request", lambda request: requested.append(request.url))
    chat.ask("<img src=x onerror=alert(1)>")
    expect(chat.answer).to_contain_text('<script>document.title = "run"</script>')
    expect(chat.answer).to_contain_text("<svg onload=alert(1)>")
    expect(chat.page.locator(".user")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(chat.send).to_be_visible()
    assert chat.page.title() == "millstream"
    made = chat.page.locator("#log").locator("script, img, svg, iframe, b, [onerror], [onload]")
    expect(made).to_have_count(0)
    links = chat.answer.get_by_role("link").evaluate_all("links => links.map((l) => l.href)")
    assert links == ["https://evil.test/p.png"]  # a picture is a link to it: nothing is loaded
    assert all(url.startswith(chat.page.url) for url in requested)


MARKDOWN = {
    "plain": "<p>plain</p>",
    "a\nb\n\nc  \nd": "<p>a\nb</p><p>c  <br>d</p>",
    "# One\n## Two ##\n####### no": "<h3>One</h3><h4>Two</h4><p>####### no</p>",
    "*a* **b** ***c*** _d_ __e__ ~~f~~": "<p><em>a</em> <strong>b</strong> "
    "<strong><em>c</em></strong> <em>d</em> <strong>e</strong> <del>f</del></p>",
    "2 * 3 * 4, a_b_c, 5*6*7": "<p>2 * 3 * 4, a_b_c, 5<em>6</em>7</p>",
    "**not closed": "<p>**not closed</p>",
    "`a *b*` ``c ` d`` `x": "<p><code>a *b*</code> <code>c ` d</code> `x</p>",
    r"\*a\* \\ \x": r"<p>*a* \ \x</p>",
    "- a\n- b\n  - c\n\n    d\n- e": "<ul><li>a</li><li>b<ul><li><p>c</p><p>d</p></li></ul></li>"
    "<li>e</li></ul>",
    "3. a\n4. b\n\ntext": '<ol start="3"><li>a</li><li>b</li></ol><p>text</p>',
    "1. a\n\n   ```py\n   x = 1\n   ```\n2. b": None,
    "in\n2024. It": "<p>in\n2024. It</p>",
    "> a\n> > b\n\nc": "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote><p>c</p>",
    "a\n\n---\n***\nb": "<p>a</p><hr><hr><p>b</p>",
    "[a](https://x.test/(b)?q=1) <https://y.test> https://z.test/a_b.": None,
    "[a *b*](http://x.test 'title') [c](/local) [d]": None,
    "[a](https://x.test": None,
    "| a | b |\n|:-:|--:|\n| 1 | `x` \\| y |\n| 2 |\n\nend": None,
    "a | b\nno table": "<p>a | b\nno table</p>",
    "```python\nx = '*a*'\n\n```\nafter": None,
    "~~~\n```\n~~~": None,
    "```\nnot closed\n``": None,
    "text\n```js\n1\n```": None,
    "*" * 300 + "a" + "[" * 300 + "`" * 301: None,
    "> " * 40 + "deep": None,
    "Grüße 👋🏽 **日本語**です": "<p>Grüße 👋🏽 <strong>日本語</strong>です</p>",
}

# The root of each way to cut a source: as HTML, or the texts of what a selector finds.
FEED = """
async ([source, cuts, selector]) => {
  const { MarkdownView } = await import("/static/markdown.js");
  const letters = Array.from(source);
  return cuts.map((sizes) => {
    const root = document.createElement("div");
    const view = new MarkdownView(root);
    let at = 0;
    for (const size of sizes) view.append(letters.slice(at, (at += size)).join(""));
    view.append(letters.slice(at).join(""));
    view.end();
    if (!selector) return root.innerHTML;
    return [...root.querySelectorAll(selector)].map((found) => found.textContent.trimEnd());
  });
}
"""


@pytest.fixture(scope="module")
def markdown(own_mock: Demo, chromium: Any) -> Iterator[Page]:
    """A page in which the Markdown module is fed."""
    page = chromium.new_page()
    page.goto(own_mock.url)
    yield page
    page.close()


@pytest.mark.parametrize("source", MARKDOWN)
def test_markdown_is_the_same_however_it_is_cut(markdown: Page, source: str) -> None:
    length = len(source)
    whole: list[list[int]] = [[]]
    in_two = [[at] for at in range(1, min(length, 400))]
    in_pieces = [[size] * (length // size) for size in (1, 2, 3, 7)]
    made = markdown.evaluate(FEED, [source, whole + in_two + in_pieces])
    for html in made:
        assert html == made[0]
    if MARKDOWN[source] is not None:
        assert made[0] == MARKDOWN[source]


@pytest.mark.parametrize(
    ("source", "selector", "texts"),
    [
        ("1. a\n\n   ```py\n   x = 1\n   ```\n2. b", "ol > li .code code", ["x = 1"]),
        ("```python\nx = '*a*'\n\n```\nafter", ".code code", ["x = '*a*'\n"]),
        ("```python\nx\n```", ".code .language", ["python"]),
        ("~~~\n```\n~~~", ".code code", ["```"]),
        ("```\nnot closed\n``", ".code code", ["not closed\n``"]),
        ("| a | b |\n|:-:|--:|\n| 1 | `x` \\| y |\n| 2 |\n\nend", "td", ["1", "x | y", "2", ""]),
        ("| a | b |\n|:-:|--:|\n| 1 | 2 |", "th[scope=col].right", ["b"]),
        (
            "[a](https://x.test/(b)?q=1) <https://y.test>",
            "a[rel~=noopener]",
            ["a", "https://y.test"],
        ),
        ("see https://z.test/a_b.", 'a[href="https://z.test/a_b"]', ["https://z.test/a_b"]),
        ("(https://z.test/x)", 'a[href="https://z.test/x"]', ["https://z.test/x"]),
        ("[a *b*](http://x.test 'title') [c](/local) [d]", "a", ["a b"]),
    ],
)
def test_markdown_pieces(markdown: Page, source: str, selector: str, texts: list[str]) -> None:
    (found,) = markdown.evaluate(FEED, [source, [[]], selector])
    assert found == [text.rstrip() for text in texts]


def test_only_the_last_block_is_built_anew(markdown: Page) -> None:
    kept = markdown.evaluate(
        """async () => {
          const { MarkdownView } = await import("/static/markdown.js");
          const root = document.createElement("div");
          const view = new MarkdownView(root);
          view.append("one\\n\\ntwo\\n\\n```\\nline 1\\n");
          const [first, second, code] = root.children;
          const line = code.querySelector("code").firstChild;
          view.append("line 2\\n```\\n\\nthree");
          return [first, second, code].every((node, i) => node === root.children[i])
            && line === code.querySelector("code").firstChild && root.children.length === 4;
        }"""
    )
    assert kept


# ---- hands, eyes, ears ---------------------------------------------------------------------------


def test_all_of_it_by_keyboard(begin: Begin, serve: Serve) -> None:
    server = serve([mock.Answer(["One", mock.Gate()]), "Two.\n\n```\ncode\n```"])
    chat = begin(server)
    press = chat.page.keyboard.press
    expect(chat.question).to_be_focused()
    chat.page.keyboard.type("first line")
    press("Shift+Enter")
    chat.page.keyboard.type("second line")
    press("Enter")
    expect(chat.answer).to_have_text("One")
    assert server.requests[0].json()["messages"][0]["content"] == "first line\nsecond line"
    press("Tab")
    expect(chat.stop).to_be_focused()
    press("Enter")
    expect(chat.question).to_be_focused()
    assert server.wait_disconnected(timeout=SOON_S)
    chat.page.keyboard.type("again")
    press("Enter")
    expect(chat.answer).to_contain_text("Two.")
    expect(chat.send).to_be_visible()
    chat.page.reload()
    chat.page.locator("body").evaluate("() => document.activeElement.blur()")
    chat.page.locator(".skip").focus()
    press("Enter")
    expect(chat.question).to_be_focused()
    for name in ("Copy answer", "Code", "Copy code"):
        press("Shift+Tab")
        expect(chat.page.get_by_label(name, exact=True).last).to_be_focused()
    chat.page.get_by_role("button", name="Theme: automatic").focus()
    press("Enter")
    expect(chat.page.locator("html")).to_have_attribute("data-theme", "light")
    press("Space")
    expect(chat.page.locator("html")).to_have_attribute("data-theme", "dark")
    chat.page.reload()
    expect(chat.page.locator("html")).to_have_attribute("data-theme", "dark")


# What the button says next: it says it for a moment only, too short to look for from here.
CLICK = """
(button) => new Promise((resolve) => {
  new MutationObserver(() => resolve(button.textContent)).observe(button, { childList: true });
  button.click();
})
"""


def test_code_and_answers_are_copied(begin: Begin) -> None:
    text = "See:\n\n```sh\nls *\n```"
    chat = begin(text, permissions=["clipboard-read", "clipboard-write"])
    chat.ask("How?")
    expect(chat.send).to_be_visible()
    for name, copied in (("Copy code", "ls *\n"), ("Copy answer", text)):
        assert chat.page.get_by_role("button", name=name).evaluate(CLICK) == "Copied"
        assert chat.page.evaluate("() => navigator.clipboard.readText()") == copied


def test_escape_stops(begin: Begin, serve: Serve) -> None:
    server = serve(mock.Answer(["One", mock.Gate()]))
    chat = begin(server)
    chat.ask("Go")
    expect(chat.answer).to_have_text("One")
    chat.page.keyboard.press("Escape")
    assert server.wait_disconnected(timeout=SOON_S)


def test_a_screen_reader_is_told_sentences(begin: Begin) -> None:
    gates = [mock.Gate(), mock.Gate()]
    chat = begin(mock.Answer(["**One", gates[0], "** is. Two", gates[1], " are."]))
    chat.ask("Go")
    expect(chat.answer).to_have_text("One")
    expect(chat.announcements).to_have_text("")
    gates[0].open()
    expect(chat.announcements).to_have_text("One is.")
    expect(chat.answer).to_have_text("One is. Two")
    gates[1].open()
    told = chat.announcements.locator("p")
    expect(told.last).to_have_text("Two are. Answer complete.")
    expect(told).to_have_count(2)
    expect(chat.announcements).to_have_attribute("aria-live", "polite")
    expect(chat.page.get_by_role("log")).to_have_attribute("aria-live", "off")


LONG = "\n\n".join(f"Paragraph {number}." for number in range(60))


def test_the_end_is_followed_until_the_reader_scrolls_away(begin: Begin) -> None:
    gates = [mock.Gate(), mock.Gate()]
    chat = begin(mock.Answer([LONG, gates[0], LONG, "\n\nLast words.", gates[1], " Really."]))
    chat.ask("Go")
    frame = chat.page.locator("#scroll")
    jump = chat.page.get_by_role("button", name="Jump to latest")
    expect(chat.answer.get_by_text("Paragraph 59.")).to_be_in_viewport()
    expect(jump).to_be_hidden()
    frame.evaluate("(frame) => frame.scrollBy({ top: -1500, behavior: 'instant' })")
    expect(jump).to_be_visible()
    top = frame.evaluate("(frame) => frame.scrollTop")
    gates[0].open()
    last = chat.answer.get_by_text("Last words.")
    expect(last).to_be_attached()
    assert frame.evaluate("(frame) => frame.scrollTop") == top
    jump.click()
    expect(last).to_be_in_viewport()
    expect(jump).to_be_hidden()
    gates[1].open()
    expect(chat.answer.get_by_text("Really.")).to_be_in_viewport()


WIDE = (
    "| " + " | ".join(f"column{n}" for n in range(20)) + " |\n" + "|---" * 20 + "|\n\n"
    "```\n" + "x = 1; " * 60 + "\n```\n\n" + "longword" * 40 + " `" + "code" * 60 + "`"
)


def test_nothing_is_wider_than_a_phone(begin: Begin) -> None:
    chat = begin(mock.Answer(WIDE, reasoning="a" * 500), **PHONE)
    chat.ask("w" * 300)
    expect(chat.send).to_be_visible()
    chat.page.get_by_text("Reasoning").click()
    for selector in ("html", "#scroll"):
        width, seen = chat.page.locator(selector).evaluate("(n) => [n.scrollWidth, n.clientWidth]")
        assert width <= seen
    for button in (chat.send, chat.page.get_by_role("button", name="New chat")):
        box = button.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 44
    size = chat.question.evaluate("(n) => parseFloat(getComputedStyle(n).fontSize)")
    assert size >= 16  # below that a phone zooms in on focus


CHECK = Path(__file__).with_name("page_faults.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_and_has_names(begin: Begin, serve: Serve, scheme: str) -> None:
    call = mock.ToolCall("current_time", {"time_zone": "UTC"})
    blocks = ["# Head", "[a](https://x.test) `b`", "> quote", "|a|\n|-|\n|b|", "```py\nx\n```"]
    script = [mock.Answer("See:", tool_calls=[call], reasoning="Hm."), "\n\n".join(blocks)]
    chat = begin([*script, mock.Answer("Half", error="Broken.")], color_scheme=scheme)
    empty = chat.page.evaluate(CHECK)
    assert empty["texts"] >= 5
    assert empty["faults"] == []
    chat.ask("Go")
    expect(chat.answer).to_contain_text("quote")
    expect(chat.send).to_be_visible()
    chat.ask("Break")
    expect(chat.page.get_by_role("alert")).to_be_visible()
    for details in chat.page.locator("summary").all():
        details.click()
    full = chat.page.evaluate(CHECK)
    assert full["texts"] >= 20
    assert full["faults"] == []


def test_who_wants_no_motion_has_none(begin: Begin) -> None:
    chat = begin(mock.Answer(["", mock.Gate()]), reduced_motion="reduce")
    chat.ask("Go")
    expect(chat.page.locator(".waiting")).to_be_visible()
    moving = chat.page.evaluate("() => document.getAnimations().length")
    assert moving == 0


# ---- the built-in mock ---------------------------------------------------------------------------


def test_each_suggestion_shows_what_it_says(own_mock: Demo, tabs: Tabs) -> None:
    chat = Chat(tabs.open(own_mock.url))
    shown = {
        "How does a water mill work?": ".answer table",
        "Think: which wheel is best?": "details:not(.call)",
        "Roll two dice": ".call .dot.done",
        "Break down in the middle": ".error",
        "Show me a script tag": '.answer p:text("<script>")',
    }
    for suggestion, selector in shown.items():
        chat.page.get_by_role("button", name=suggestion).click()
        expect(chat.page.locator(selector).first).to_be_visible()
        expect(chat.send).to_be_visible()
        chat.page.get_by_role("button", name="New chat").click()
    chat.ask("Anything <else>")
    expect(chat.answer.locator("blockquote")).to_have_text("Anything <else>")


# ---- pictures ------------------------------------------------------------------------------------


def test_screenshots(tabs: Tabs, tmp_path: Path) -> None:
    """Pictures for the README, in MILLSTREAM_SCREENSHOTS where that names a folder."""
    folder = Path(os.environ.get("MILLSTREAM_SCREENSHOTS", tmp_path))
    wide = {"viewport": {"width": 1000, "height": 800}, "device_scale_factor": 1.5}
    with demo("--pace", "0.01") as running:
        light = Chat(tabs.open(running.url, color_scheme="light", **wide))
        light.ask("How does a water mill work?")
        expect(light.answer.locator("pre")).to_contain_text("return 9.81")
        light.page.screenshot(path=folder / "demo-light.png", animations="disabled")
        dark = Chat(tabs.open(running.url, color_scheme="dark", device_scale_factor=2, **PHONE))
        dark.ask("Think: which wheel is best?")
        expect(dark.strip).to_have_attribute("data-state", "done")
        dark.ask("Roll two dice")
        expect(dark.answer).to_contain_text("They show")
        expect(dark.strip).to_have_attribute("data-state", "done")
        expect(dark.page.locator("#rate")).not_to_have_text("–")
        dark.page.screenshot(path=folder / "demo-dark.png", animations="disabled")
        for page in (light.page, dark.page):
            page.context.close()
    assert all((folder / f"demo-{name}.png").stat().st_size > 10_000 for name in ("light", "dark"))


@pytest.mark.parametrize("name", ["demo-light.png", "demo-dark.png"])
def test_the_readme_shows_two(name: str) -> None:
    assert f"docs/{name}" in (DOCS.parent / "README.md").read_text()
    assert (DOCS / name).stat().st_size <= 150 * 1024
