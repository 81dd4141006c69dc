"""The picture of the README: plot.py RESULTS PICTURE, an SVG or a PNG.

Drawn with colours that are read on white and on black, on no ground of its own.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

INK, US, FLOOR, PEER = "#7d8590", "#2f81f7", "#3fb950", "#a08c5b"
PANELS = (
    ("one", "cpu_us", "one stream: CPU a chunk, µs (log)"),
    ("threads", "cpu_us", "50 threads: CPU a chunk, µs (log)"),
    ("tasks", "cpu_us", "500 tasks: CPU a chunk, µs (log)"),
    ("busy", "share", "a CPU's share kept by a thread beside 50 streams"),
)


def colour(name: str) -> str:
    """Ours, the floor's, or a peer's."""
    if name.startswith("millstream"):
        return US
    return FLOOR if name.startswith(("C:", "nothing")) else PEER


def draw(axes: Any, result: dict[str, Any], metric: str, title: str) -> None:
    """One row as bars, the best above."""
    medians = {
        name: statistics.median(round_[metric] for round_ in rounds)
        for name, rounds in result["figures"].items()
        if rounds
    }
    ordered = sorted(medians.items(), key=lambda item: item[1], reverse=metric == "share")
    names, values = zip(*ordered, strict=True)
    bars = axes.barh(names, values, color=[colour(name) for name in names], height=0.7)
    axes.bar_label(bars, fmt="%.2f" if metric == "share" else "%.3g", padding=3, color=INK, size=8)
    axes.set_title(title, color=INK, size=9, loc="left")
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.margins(x=0.15)
    axes.invert_yaxis()
    axes.xaxis.set_visible(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if metric != "share":
        axes.set_xscale("log")
        axes.set_xlim(left=min(values) / 3)


def main(results: Path, picture: Path) -> None:
    """All panels that were measured."""
    matplotlib.rcParams["svg.hashsalt"] = "millstream"  # the same figures give the same file
    rows: dict[str, Any] = json.loads(results.read_text())["rows"]
    panels = [panel for panel in PANELS if panel[0] in rows]
    figure = Figure(figsize=(8, 2.0 + 1.9 * ((len(panels) + 1) // 2)), layout="constrained")
    for i, (row, metric, title) in enumerate(panels):
        draw(figure.add_subplot((len(panels) + 1) // 2, 2, i + 1), rows[row], metric, title)
    dated = {"metadata": {"Date": None}} if picture.suffix == ".svg" else {}
    figure.savefig(picture, transparent=True, dpi=160, **dated)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
