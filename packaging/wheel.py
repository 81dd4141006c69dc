"""Makes one wheel that needs nothing beside it: `python packaging/wheel.py LIBCURL OUT`.

Run by `./dev wheel` with the interpreter that the wheel is for. LIBCURL is the folder where `./dev`
has installed libcurl, with its licence; OUT gets the wheel. auditwheel puts the libraries inside
and names them in an SBOM (CycloneDX); here their licences join them, and libcurl, which no package
of the system provides, joins the SBOM. The same commit gives the same bytes.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATE = time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))[:6]


def run(*command: object, **environment: str) -> str:
    """Run a command; its output."""
    words = [str(word) for word in command]
    return subprocess.run(
        words, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ).stdout


def built(libcurl: Path, folder: Path) -> Path:
    """The wheel as meson-python builds it, bound to the libraries of this machine."""
    run(
        *(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps"),
        *("--wheel-dir", folder, "--config-settings=setup-args=-Dbuildtype=release"),
        f"--config-settings=setup-args=-Dc_args=-ffile-prefix-map={ROOT}=.",
        ROOT,
        PKG_CONFIG_PATH=str(libcurl / "lib/pkgconfig"),
    )
    return next(folder.glob("*.whl"))


def with_libraries(wheel: Path, libcurl: Path, folder: Path) -> Path:
    """The wheel with its libraries inside."""
    path = f"{libcurl}/lib:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":")
    auditwheel = (sys.executable, "-m", "auditwheel", "repair", "--strip")
    run(*auditwheel, "--wheel-dir", folder, wheel, LD_LIBRARY_PATH=path)
    return next(folder.glob("*.whl"))


def libcurl_component(libcurl: Path) -> dict[str, str]:
    """What the SBOM says of it."""
    version = run(libcurl / "bin/curl-config", "--version").split()[1]
    purl = f"pkg:generic/curl@{version}"
    return {"type": "library", "bom-ref": purl, "name": "curl", "version": version, "purl": purl}


def add_component(sbom: dict, component: dict[str, str]) -> None:  # type: ignore[type-arg]
    """Enter a library on which the first component, the wheel, depends."""
    sbom["components"].append(component)
    sbom["dependencies"][0]["dependsOn"].append(component["bom-ref"])
    sbom["dependencies"].append({"ref": component["bom-ref"]})


def system_packages(sbom: dict) -> list[str]:  # type: ignore[type-arg]
    """The packages of this system whose libraries are inside."""
    purls = {part["purl"]: part["name"] for part in sbom["components"]}
    return sorted({name for purl, name in purls.items() if purl.startswith("pkg:deb/")})


def copyright_of(package: str) -> bytes:
    """A Debian package's licence, and the common licences to which it only refers."""
    text = Path("/usr/share/doc", package, "copyright").read_bytes()
    for common in sorted(set(re.findall(rb"/usr/share/common-licenses/[\w.+-]*\w", text))):
        text += b"\n---- " + common + b" ----\n\n" + Path(os.fsdecode(common)).read_bytes()
    return text


def licences(libcurl: Path, packages: list[str]) -> dict[str, bytes]:
    """Library → licence text."""
    texts = {package: copyright_of(package) for package in packages}
    return {"curl": (libcurl / "COPYING").read_bytes(), **texts}


def record_line(name: str, data: bytes) -> tuple[str, str, int]:
    """A file's name, digest and size."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return name, f"sha256={digest}", len(data)


def record(files: dict[str, bytes], name: str) -> bytes:
    """RECORD, as the binary distribution format asks: each file's digest, its own line without."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerows(record_line(file, files[file]) for file in sorted(files))
    lines.writerow((name, "", ""))
    return text.getvalue().encode()


def finish(wheel: Path, libcurl: Path, out: Path) -> Path:
    """Add what auditwheel does not, and pack everything in one order with one date."""
    with zipfile.ZipFile(wheel) as archive:
        entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
        files = {name: archive.read(name) for name in entries}
    info = next(name for name in files if name.endswith(".dist-info/RECORD")).removesuffix("RECORD")
    sbom_name = f"{info}sboms/auditwheel.cdx.json"
    sbom = json.loads(files[sbom_name])
    add_component(sbom, libcurl_component(libcurl))
    files[sbom_name] = json.dumps(sbom, indent=2, sort_keys=True).encode() + b"\n"
    metadata = files[f"{info}METADATA"].decode()
    for library, text in licences(libcurl, system_packages(sbom)).items():
        files[f"{info}licenses/bundled/{library}"] = text
        metadata = metadata.replace(
            "License-File: LICENSE\n",
            f"License-File: LICENSE\nLicense-File: bundled/{library}\n",
            1,
        )
    files[f"{info}METADATA"] = metadata.encode()
    del files[f"{info}RECORD"]
    ordered = {name: files[name] for name in sorted(files)}
    ordered[f"{info}RECORD"] = record(files, f"{info}RECORD")
    target = out / wheel.name
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in ordered.items():
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            # Not as it lies here, which is a matter of who has made the folder.
            runs = name in entries and entries[name].external_attr >> 16 & 0o100
            entry.external_attr = (0o100755 if runs else 0o100644) << 16
            archive.writestr(entry, data)
    return target


def main() -> None:
    """Make the wheel and print its name."""
    libcurl, out = (Path(argument).resolve() for argument in sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp())
    try:
        wheel = built(libcurl, work / "built")
        print(finish(with_libraries(wheel, libcurl, work / "whole"), libcurl, out).name)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
