"""Write the recorded provider streams as seeds of the fuzz target `dialect`: recordings.py FOLDER.

They lie in ../shared, outside of the project, and are not kept in fuzz/corpus. An input is the
format's place in mill_formats(), three bytes of settings (see decoder.h) and the body.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STREAMS = ROOT.parent / "shared" / "streams"
SETTINGS = b"\xff\x01\x00"  # a wide limit, cuts of one seed, no pauses


def formats() -> list[str]:
    """The names of mill_formats(), in order, from the list that it is made from."""
    header = (ROOT / "src" / "provider" / "dialect.h").read_text()
    rows = header[header.index("#define MILL__DIALECTS(X)") :].split("\n\n")[0]
    return re.findall(r'X\(\w+, "([\w-]+)"\)', rows)


def main(folder: Path) -> None:
    """Write one file a recording."""
    manifest = STREAMS / "manifest.json"
    if not manifest.exists():
        print("skipped: no recorded streams beside the project")
        return
    names = formats()
    folder.mkdir(parents=True, exist_ok=True)
    for entry in json.loads(manifest.read_bytes()):
        api = entry["api"] if entry["api"] in names else "events"
        body = (STREAMS / entry["file"]).read_bytes()
        seed = folder / f"recording-{entry['sha256'][:16]}"
        seed.write_bytes(bytes([names.index(api)]) + SETTINGS + body)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
