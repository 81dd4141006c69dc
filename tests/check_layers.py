"""Check that includes point down only, and that each library is known to the files named here.

Run from the project's root by ./dev lint; prints one line a fault and exits 1.
"""

import re
import sys
from pathlib import Path

# A file includes its own layer and those before it; the public headers belong to all.
LAYERS = ["src/base", "src/parse", "src/provider", "src/net", "src"]

# What a line may hold only in these places: files, or folders with all below them.
RESERVED = {
    r"#include <curl/": ["src/net/engine.c", "src/net/http.c"],
    r"#include <yajl/": ["src/parse/json.c"],
    r"#include <zlib": ["src/net/inflate.c"],
    r"#include <sys/epoll\.h>": ["src/net/loop_epoll.c"],
    r"#include <Python\.h>": ["python_pkg/ext"],
    r"Py_BEGIN_ALLOW_THREADS|PyEval_SaveThread": ["python_pkg/ext/wait.c"],
    r"(?<![\w.>])(malloc|calloc|realloc|free|strdup|strndup)\(": ["src/base/alloc.c"],
}

# Where each rule is looked for; tests, fuzz targets and examples may know everything.
CHECKED = ["include", "src", "python_pkg"]


def without_comments(text: str) -> str:
    """The text with comments and strings blanked and its lines kept; includes stay."""

    def blank(match: re.Match[str]) -> str:
        part = match[0]
        return part if match["include"] else re.sub(r"[^\n]", " ", part)

    tokens = r'(?P<include>#include[^\n]*)|/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"'
    return re.sub(tokens, blank, text, flags=re.DOTALL)


def layer_of(path: str) -> int | None:
    """The rank of a file's layer, None outside src."""
    folder = path.rpartition("/")[0]
    return LAYERS.index(folder) if folder in LAYERS else None


def include_fault(path: str, included: str) -> str | None:
    """Why `path` may not include "included", or None."""
    if included.startswith("millstream/"):
        return None
    if path.startswith("include/"):
        return "a public header includes public headers only"
    if path.startswith("python_pkg/ext/"):
        if Path("python_pkg/ext", included).exists():
            return None
        return "the extension knows the public headers and its own, nothing of src/"
    mine, other = layer_of(path), layer_of(f"src/{included}")
    if mine is None or other is None:
        return "not in a layer: write the path from src/"
    return "an include points up" if other > mine else None


def reserved_fault(path: str, line: str) -> str | None:
    """Why this line may not stand in `path`, or None."""
    for pattern, places in RESERVED.items():
        allowed = any(path == place or path.startswith(f"{place}/") for place in places)
        if not allowed and re.search(pattern, line):
            return f"only {', '.join(places)} may hold this"
    return None


def faults_in(path: str, text: str) -> list[str]:
    """One line for each fault of a file."""
    found = []
    for number, line in enumerate(without_comments(text).split("\n"), 1):
        include = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        fault = include_fault(path, include[1]) if include else reserved_fault(path, line)
        if fault:
            found.append(f"{path}:{number}: {line.strip()}: {fault}")
    return found


def main() -> int:
    """Check all sources."""
    paths = [path for top in CHECKED for path in sorted(Path(top).rglob("*.[ch]"))]
    if not paths:
        print("no source found: run this from the project's root")
        return 1
    faults = [fault for path in paths for fault in faults_in(path.as_posix(), path.read_text())]
    print(*faults, f"{len(paths)} files, {len(faults)} faults", sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
