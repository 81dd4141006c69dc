"""Write what lies in ../shared as further seeds of the fuzz targets: seeds.py FOLDER.

It is outside of the project and is not kept in fuzz/corpus. An input is four bytes of settings (see
support.h), for `dialect` the format's place in mill_formats(), and the bytes of a stream.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
SETTINGS = b"\xff\x01\x00\x00"  # a wide limit, cuts of one seed, no pauses


def formats() -> list[str]:
    """The names of mill_formats(), in order, from the list that it is made from."""
    header = (ROOT / "src" / "provider" / "dialect.h").read_text()
    rows = header[header.index("#define MILL__DIALECTS(X)") :].split("\n\n")[0]
    return re.findall(r'X\(\w+, "([\w-]+)"\)', rows)


def recordings() -> list[bytes]:
    """The recorded streams of all providers, each with its format."""
    names = formats()
    folder = SHARED / "streams"
    entries = json.loads((folder / "manifest.json").read_bytes())
    apis = [entry["api"] if entry["api"] in names else "events" for entry in entries]
    return [
        bytes([names.index(api)]) + (folder / entry["file"]).read_bytes()
        for api, entry in zip(apis, entries, strict=True)
    ]


def vectors() -> list[bytes]:
    """The inputs of the vectors for server-sent events."""
    entries = json.loads((SHARED / "sse-vectors.json").read_bytes())
    return [entry["input"].encode() for entry in entries if "input" in entry]


def documents() -> list[bytes]:
    """The documents of JSONTestSuite, the valid and the others."""
    return [file.read_bytes() for file in sorted((SHARED / "JSONTestSuite").rglob("*.json"))]


def write(folder: Path, inputs: list[bytes]) -> None:
    """One file an input, named by its hash, as libFuzzer does."""
    folder.mkdir(parents=True, exist_ok=True)
    for stream in inputs:
        data = SETTINGS + stream
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def main(folder: Path) -> None:
    """Write the seeds below `folder`, a folder a target."""
    if not SHARED.exists():
        print("skipped: nothing is shared beside the project")
        return
    for target, make in (("dialect", recordings), ("sse", vectors), ("json", documents)):
        write(folder / target, make())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
