"""The benchmark's figures as tables, on the terminal and in docs/performance.md."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from rows import ROWS, Goal, Metric, Row

BEGIN, END = "<!-- ./dev bench --publish writes from here -->", "<!-- to here -->"

Rounds = dict[str, list[dict[str, float]]]


def machine_line(machine: dict[str, Any]) -> str:
    """What it was measured with."""
    peers = ", ".join(f"{name} {version}" for name, version in machine["peers"].items())
    return (
        f"{machine['cpus']} × {machine['cpu']}, Linux {machine['kernel']}, CPython "
        f"{machine['python']}; millstream {machine['millstream']} with {machine['libcurl']}.\n"
        f"Beside it: {peers}."
    )


# ---- figures -------------------------------------------------------------------------------------


def number(value: float, digits: int) -> str:
    """Rounded, thousands apart."""
    return f"{value:,.{digits}f}"


def cell(rounds: list[dict[str, float]], metric: Metric) -> str:
    """Median, and the range where there is one."""
    values = [round_[metric.key] for round_ in rounds if metric.key in round_]
    if not values:
        return ""
    low, middle, high = (
        number(value, metric.digits)
        for value in (min(values), statistics.median(values), max(values))
    )
    return middle if low == high else f"{middle} ({low}–{high})"


def goal_values(goal: Goal, rounds: Rounds) -> list[float]:
    """The goal's figure in each round that has all it needs."""
    names = [goal.subject] + ([goal.against] if goal.against else [])
    count = min((len(rounds.get(name, [])) for name in names), default=0)
    return [goal.value({name: rounds[name][i] for name in names}) for i in range(count)]


def goal_line(row: Row, goal: Goal, rounds: Rounds) -> str:
    """The goal, what was measured, and whether that is it."""
    metric = next(metric for metric in row.metrics if metric.key == goal.metric)
    values = goal_values(goal, rounds)
    sign = "≥" if goal.at_least else "≤"
    if goal.against is None:
        text, digits = f"{metric.title} {sign} {goal.bound:,g}", metric.digits
    elif goal.difference:
        text, digits = f"{metric.title} {sign} {goal.against} + {goal.bound:g}", metric.digits
    else:
        ratio = f"{goal.bound:g}" if goal.bound >= 0.5 else f"1/{round(1 / goal.bound)}"
        text, digits = (
            f"{metric.title} {sign} {ratio} × {goal.against}",
            2 if goal.bound > 0.2 else 4,
        )
    if not values:
        return f"| {text} | not measured | |"
    low, middle, high = min(values), statistics.median(values), max(values)
    spread = "" if low == high else f" ({number(low, digits)}–{number(high, digits)})"
    reached = "yes" if goal.reached(middle) else "**no**"
    return f"| {text} | {number(middle, digits)}{spread} | {reached} |"


# ---- tables --------------------------------------------------------------------------------------


def row(row_: Row, result: dict[str, Any]) -> str:
    """A row's contestants, and its goals."""
    rounds: Rounds = result["figures"]
    count = max((len(values) for values in rounds.values()), default=0)
    kind = "a short trial" if result["quick"] else f"median of {count} rounds (lowest–highest)"
    lines = [
        f"### {row_.title}",
        "",
        f"`./dev bench {row_.name}`, {result['measured']}, {kind}.",
        "",
        f"| | {' | '.join(metric.title for metric in row_.metrics)} |",
        f"|---|{'---:|' * len(row_.metrics)}",
    ]
    for name in row_.contestants:
        cells = [cell(rounds.get(name, []), metric) for metric in row_.metrics]
        shown = f"**{name}**" if name.startswith("millstream") else name
        if name in result["failures"]:
            cells[0] = "failed"
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    lines += ["", "| goal | measured | reached |", "|---|---:|---|"]
    lines += [goal_line(row_, goal, rounds) for goal in row_.goals]
    return "\n".join(lines)


def publish(page: Path, results: dict[str, Any]) -> None:
    """Put the tables between the page's marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{page}: no marks to write between")
    tables = [
        row(row_, results["rows"][row_.name]) for row_ in ROWS if row_.name in results["rows"]
    ]
    body = "\n\n".join([machine_line(results["machine"]), *tables])
    page.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}")
