"""What `./dev wheel` has made, installed where there is Python and no libcurl.

`./dev wheel try` runs it: it makes fresh Debian systems with debootstrap, which needs root and a
Debian mirror, and pip installs the wheel there without an index. The server is outside.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from components import Authority
from millstream import mock

DIST = Path(__file__).resolve().parents[2] / "dist"
SYSTEMS = {"bookworm": "cp311-cp311", "trixie": "cp313-cp313"}
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
    print(stream.response.http_version)
try:
    with millstream.Client(base_url=url, api_key="test", max_retries=0) as client:
        client.stream(model="mock", messages=[]).result()
except millstream.ConnectError as error:
    print(error.code)
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
    authority = Authority(tmp_path)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(authority.issue("server").both)
    shutil.copy(wheel, root)
    shutil.copy(authority.ca, root / "ca.pem")

    def inside(*command: str) -> str:
        words = ["chroot", str(root), *command]
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}
        return subprocess.run(
            words, check=True, stdout=subprocess.PIPE, text=True, env=environment
        ).stdout

    assert "libcurl" not in inside("ldconfig", "-p")
    inside("python3", "-m", "venv", "/venv")
    inside("/venv/bin/pip", "install", "--no-index", f"/{wheel.name}")
    with mock.Server("Out of a wheel.", ssl_context=served) as url:
        lines = inside("/venv/bin/python", "-c", SCRIPT, url, "/ca.pem").splitlines()
    assert lines[:1] == ["Out of a wheel."]
    assert lines[2] == "tls", "no other CA than the one that was given makes it trusted"
    libraries = lines[3].split()
    assert len(libraries) == 3
    assert all("/millstream.libs/" in library for library in libraries)


@pytest.mark.parametrize("wheel", sorted(DIST.glob("*.whl")), ids=lambda wheel: wheel.name)
def test_licences_and_sbom_name_all_that_is_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        inside = {
            Path(name).name.split("-")[0] for name in names if name.startswith("millstream.libs/")
        }
        sbom = json.loads(archive.read(next(name for name in names if name.endswith(".cdx.json"))))
        licences = {Path(name).name for name in names if "/licenses/bundled/" in name}
    assert inside == {"libcrypto", "libcurl", "libnghttp2", "libssl", "libyajl"}
    components = {part["name"] for part in sbom["components"]} - {"millstream"}
    assert components == licences
    assert components == {"curl", "libnghttp2-14", "libssl3", "libyajl2"}


def test_the_sdist_holds_the_tree_and_nothing_else() -> None:
    with tarfile.open(next(DIST.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    root = DIST.parent
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=root, text=True)
    assert names - {"", "PKG-INFO"} >= set(listed.split("\0")) - {""}
