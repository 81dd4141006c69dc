"""What `./dev wheel` has made, installed where there is Python and no libcurl.

`./dev wheel try` runs it: it makes fresh Debian systems with debootstrap, which needs root and a
Debian mirror, and pip installs the wheel there without an index. The server is outside.
"""

from __future__ import annotations

import contextlib
import email
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import millstream
from components import Authority
from millstream import mock

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
SYSTEMS = {"bookworm": "cp311-cp311", "trixie": "cp313-cp313"}
OWN = f"cp{sys.version_info[0]}{sys.version_info[1]}"
INTERPRETERS = {
    "own": f"{OWN}-{OWN}",
    "newer": "cp313-cp313",
    "free-threaded": "cp313-cp313t",
}
SCRIPT = """
import sys
before = set(sys.modules)
import millstream
known = {*sys.builtin_module_names, *sys.stdlib_module_names, "millstream"}
extra = {name.partition(".")[0] for name in set(sys.modules) - before} - known
assert not extra, extra
url, ca = sys.argv[1:]
with millstream.Client(base_url=url, api_key="test", verify=ca) as client:
    stream = client.stream(model="mock", messages=[{"role": "user", "content": "Hi"}])
    print(stream.result().text)
try:
    with millstream.Client(base_url=url, api_key="test", max_retries=0) as client:
        client.stream(model="mock", messages=[]).result()
except millstream.ConnectError as error:
    print(error.code)
print(getattr(sys, "_is_gil_enabled", lambda: True)())
libraries = {line.split()[-1] for line in open("/proc/self/maps") if ".so" in line}
print(*sorted(name for name in libraries if "curl" in name or "yajl" in name or "ssl" in name))
"""


def wheel_for(tags: str) -> Path:
    wheels = [*DIST.glob(f"millstream-*-{tags}-manylinux*.whl")]
    if not wheels:
        pytest.skip(f"skipped: no wheel for {tags} in dist/; ./dev toolchain, then ./dev wheel")
    return wheels[0]


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """(root of a fresh system, the wheel for its Python)."""
    wheel = wheel_for(SYSTEMS[request.param])
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.skip("skipped: a fresh Debian system needs root and debootstrap")
    root, mirror = tmp_path / "system", os.environ.get("DEBIAN_MIRROR")
    if mirror is None:
        pytest.skip("skipped: DEBIAN_MIRROR names no mirror; ./dev wheel try sets it")
    bootstrap = ["debootstrap", "--variant=minbase", "--include=python3-venv"]
    subprocess.run([*bootstrap, request.param, root, mirror], check=True, stdout=subprocess.PIPE)
    subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
    try:
        yield root, wheel
    finally:
        subprocess.run(["umount", root / "proc"], check=True)
        shutil.rmtree(root)


def test_a_wheel_streams_over_tls_where_there_is_no_libcurl(
    system: tuple[Path, Path], tmp_path: Path
) -> None:
    root, wheel = system
    shutil.copy(wheel, root)

    def inside(*command: str) -> str:
        words = ["chroot", str(root), *command]
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}
        return subprocess.run(
            words, check=True, stdout=subprocess.PIPE, text=True, env=environment
        ).stdout

    assert "libcurl" not in inside("ldconfig", "-p")
    inside("python3", "-m", "venv", "/venv")
    inside("/venv/bin/pip", "install", "--no-index", f"/{wheel.name}")
    with served(tmp_path) as (url, ca):
        shutil.copy(ca, root / "ca.pem")
        check_answer(inside("/venv/bin/python", "-c", SCRIPT, url, "/ca.pem"))


@pytest.mark.parametrize("name", INTERPRETERS)
def test_a_wheel_is_used_where_there_is_a_libcurl_too(tmp_path: Path, name: str) -> None:
    """And without a GIL, where that is what the wheel is for."""
    wheel, python = wheel_for(INTERPRETERS[name]), ROOT / f".cache/venv-wheel-{name}/bin/python"
    subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=True)
    own = tmp_path / "venv" / "bin" / "python"
    pip = (own, "-m", "pip", "install", "--no-index", "--disable-pip-version-check", wheel)
    subprocess.run(pip, check=True, stdout=subprocess.PIPE)
    environment = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
    with served(tmp_path) as (url, ca):
        said = subprocess.run(
            [own, "-W", "error", "-c", SCRIPT, url, ca], check=True, stdout=subprocess.PIPE,
            text=True, cwd=tmp_path, env=environment,
        ).stdout  # fmt: skip
    check_answer(said, gil=not wheel.name.split("-")[3].endswith("t"))


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a server with a certificate, and the CA that signed it."""
    authority = Authority(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("server").both)
    with mock.Server("Out of a wheel.", ssl_context=context) as url:
        yield url, authority.ca


def check_answer(said: str, gil: bool = True) -> None:
    """What SCRIPT has to print."""
    answer, trust, has_gil, libraries = said.splitlines()
    assert answer == "Out of a wheel."
    assert trust == "tls", "no other CA than the one that was given makes it trusted"
    assert has_gil == str(gil)
    assert len(libraries.split()) == 3
    assert all("/millstream.libs/" in library for library in libraries.split())


each_wheel = pytest.mark.parametrize(
    "wheel", sorted(DIST.glob("*.whl")), ids=lambda wheel: wheel.name
)


def sbom_of(archive: zipfile.ZipFile) -> str:
    name = next(name for name in archive.namelist() if name.endswith(".cdx.json"))
    return archive.read(name).decode()


@each_wheel
def test_licences_and_sbom_name_all_that_is_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        inside = {
            Path(name).name.split("-")[0] for name in names if name.startswith("millstream.libs/")
        }
        sbom = json.loads(sbom_of(archive))
        texts = {
            Path(name).name: archive.read(name).decode()
            for name in names
            if "/licenses/bundled/" in name
        }
        licences = {*texts}
        metadata = email.message_from_bytes(archive.read(name_in(archive, "/METADATA")))
    assert inside == {"libcrypto", "libcurl", "libnghttp2", "libssl", "libyajl"}
    components = {part["name"] for part in sbom["components"]} - {"millstream"}
    assert components == licences
    assert components == {"curl", "libnghttp2-14", "libssl3", "libyajl2"}
    assert all("copyright" in text.lower() for text in texts.values())
    assert "Apache License" in texts["libssl3"], "what Debian's text only refers to is inside too"
    told = {*metadata.get_all("License-File", ())}
    assert told == {"LICENSE", *(f"bundled/{name}" for name in licences)}
    extras = {*metadata.get_all("Provides-Extra", ())}
    assert extras == {"cli", "otel", "web"}
    needed = metadata.get_all("Requires-Dist", ())
    assert all("extra ==" in line for line in needed), "nothing is needed beside it"


def name_in(archive: zipfile.ZipFile, end: str) -> str:
    return next(name for name in archive.namelist() if name.endswith(end))


@each_wheel
def test_the_sbom_is_of_the_standards_form(wheel: Path) -> None:
    pytest.importorskip("cyclonedx", reason="skipped: cyclonedx-python-lib is not installed")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with zipfile.ZipFile(wheel) as archive:
        text = sbom_of(archive)
    bom = json.loads(text)
    assert bom["bomFormat"] == "CycloneDX"
    version = SchemaVersion.from_version(bom["specVersion"])
    assert JsonStrictValidator(version).validate_str(text) is None
    references = {part["bom-ref"] for part in bom["components"]}
    named = {
        ref for each in bom["dependencies"] for ref in (each["ref"], *each.get("dependsOn", ()))
    }
    assert named == references


@each_wheel
def test_the_version_is_that_of_meson_build(wheel: Path) -> None:
    found = re.search(r"^ +version: '([\d.]+)',$", (ROOT / "meson.build").read_text(), re.MULTILINE)
    assert found is not None
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read(name_in(archive, "/METADATA")))
        (part,) = (p for p in json.loads(sbom_of(archive))["components"] if "pypi" in p["purl"])
    sdist = next(DIST.glob("*.tar.gz"))
    assert metadata["Version"] == part["version"] == found[1] == millstream.__version__
    assert wheel.name.split("-")[1] == found[1]
    assert sdist.name == f"millstream-{found[1]}.tar.gz"


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The sdist's tree, with other modes than those of this one."""
    folder = tmp_path / "sdist"
    folder.mkdir()
    subprocess.run(["tar", "-xf", next(DIST.glob("*.tar.gz")), "-C", folder], check=True)
    (tree,) = folder.iterdir()
    for path in tree.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
    return tree


def test_the_sdist_gives_the_same_wheel_in_another_place(unpacked: Path, tmp_path: Path) -> None:
    libcurl, python = os.environ.get("WHEEL_LIBCURL"), ROOT / ".cache/venv-wheel-own/bin/python"
    if libcurl is None:
        pytest.skip("skipped: WHEEL_LIBCURL names no libcurl; ./dev wheel try sets it")
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    made = subprocess.run(
        [python, "packaging/wheel.py", libcurl, tmp_path / "again"], cwd=unpacked, check=True,
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PATH": path},
    ).stdout.split()[-1]  # fmt: skip
    assert (tmp_path / "again" / made).read_bytes() == (DIST / made).read_bytes()


def test_the_sdist_builds_and_its_tests_pass(unpacked: Path, tmp_path: Path) -> None:
    for command in (("setup", tmp_path / "build", unpacked), ("test", "-C", tmp_path / "build")):
        subprocess.run(["meson", *command], check=True, stdout=subprocess.PIPE)


def test_the_sdist_holds_the_tree_and_nothing_else() -> None:
    with tarfile.open(next(DIST.glob("*.tar.gz"))) as archive:
        names = {each.name.partition("/")[2] for each in archive.getmembers() if not each.isdir()}
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    assert names - {"PKG-INFO"} == set(listed.split("\0")) - {""}
