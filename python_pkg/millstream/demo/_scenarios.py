"""What the mock server answers on the chat page: words of the question choose a scenario."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ..mock import Answer, Error, Request, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_S = 0.25  # as long as a model that is near takes to its first token

_MILL = """\
A water mill turns the weight of falling water into a turning shaft. Three parts do the work:

1. **The race** leads water from the stream to the wheel.
2. **The wheel** takes its force, bucket by bucket.
3. **The stones** take the turning from it, through a pair of gears.

### Which wheel for which stream

| Wheel | Fall needed | Water needed | Efficiency |
|:--|--:|--:|--:|
| Overshot | 3–10 m | little | 85 % |
| Breastshot | 1.5–3 m | some | 70 % |
| Undershot | 0.3–1.5 m | much | 35 % |

The power is what falls, times how far, times what the wheel keeps of it:

```python
def power_kw(flow_m3_s: float, fall_m: float, efficiency: float) -> float:
    \"\"\"Power at the shaft of a water wheel.\"\"\"
    return 9.81 * flow_m3_s * fall_m * efficiency


print(power_kw(0.2, 4.0, 0.85))  # 6.7 kW: enough for two pairs of stones
```

> The miller of old listened: stones that run dry *sing*.

More about it: [water wheels](https://en.wikipedia.org/wiki/Water_wheel), and `help(millstream)`.
"""

_THOUGHTS = """\
The stream is low, so there is little fall. An overshot wheel wants three metres of it at least; \
that is out. What is left is breastshot or undershot.

An undershot wheel runs on as little as 30 centimetres, but it only takes the push of the \
water, and wastes two thirds. If a weir can raise the water to a metre and a half, a breastshot \
wheel gets its weight too. So it depends on whether a weir may be built.
"""

_THOUGHT_THROUGH = """\
With a weir: a **breastshot** wheel, which uses the water's weight and keeps about 70 % of its \
power. Without one: an **undershot** wheel. It gives half of that, and runs on almost any fall.
"""

_SCRIPT = """\
Here is one, as text. Nothing of it runs:

<script>document.title = "run"</script>

<img src="x" onerror="document.title = 'run'">

And a [link](javascript:document.title='run') that leads nowhere.
"""

_PARTIAL = (
    "This answer begins well, goes on for a few words, and then the server that makes it breaks "
    "down in the middle of a sentence, which is"
)

_SLOWLY = (
    "Slowly the gate is raised. The wheel creaks, thinks about it, and turns by one bucket. "
    "Stop me at any time: the server will know at once."
)


class Scenario(NamedTuple):
    """One way to answer. `words`: a pattern; `shows`: what it is there to show."""

    words: str
    example: str
    shows: str
    answer: Callable[[str], Answer | Error]


SCENARIOS = [
    Scenario(
        r"\b(how|explain)\b.*\bmill\b",
        "How does a water mill work?",
        "Markdown: a list, a table, code",
        lambda _: Answer(_MILL),
    ),
    Scenario(
        r"\bthink\b",
        "Think: which wheel is best?",
        "Reasoning, folded",
        lambda _: Answer(_THOUGHT_THROUGH, reasoning=_THOUGHTS),
    ),
    Scenario(
        r"\b(dice|roll)\b",
        "Roll two dice",
        "A tool call and its result",
        lambda _: Answer("I roll them.", tool_calls=[ToolCall("roll_dice", {"count": 2})]),
    ),
    Scenario(
        r"\bslow(ly)?\b",
        "Answer slowly, please",
        "Time to stop it, or to reload",
        lambda _: Answer(_SLOWLY, first=1.5, pace=0.5),
    ),
    Scenario(
        r"\b(fail|break)\b",
        "Break down in the middle",
        "An error, and a retry",
        lambda _: Answer(_PARTIAL, error="The wheel has lost a bucket.", error_after=24),
    ),
    Scenario(
        r"<script|\bscript\b",
        "Show me a script tag",
        "It stays text, nothing is run",
        lambda _: Answer(_SCRIPT),
    ),
]


def script(request: Request) -> Answer | Error:
    """Answer a request of the chat page."""
    said = _messages(request)
    last = said[-1] if said else {}
    if last.get("role") == "tool":
        return Answer(f"They show **{last.get('content')}**.")
    question = str(last.get("content", ""))
    for scenario in SCENARIOS:
        if re.search(scenario.words, question, re.IGNORECASE | re.DOTALL):
            return scenario.answer(question)
    return Answer(
        f"You said:\n\n{_quoted(question)}\n\nThe mock server knows no more about it. Start a new "
        "chat to see what it can show."
    )


def _messages(request: Request) -> list[dict[str, Any]]:
    try:
        said = request.json()["messages"]
    except (ValueError, KeyError, TypeError):
        return []
    return [message for message in said if isinstance(message, dict)]


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.split("\n"))
