"""A name look-up that hangs: it costs one thread, and no other stream notices."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from answers import GIVE_UP_S
from conftest import Serve
from millstream import mock

# Looking up a name that ends in ".hang" blocks until HANG_FD is closed by the parent.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **res) {
  int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
      dlsym(RTLD_NEXT, "getaddrinfo");
  size_t len = node ? strlen(node) : 0;
  char byte;
  if (len > 5 && !strcmp(node + len - 5, ".hang")) {
    if (read(atoi(getenv("HANG_FD")), &byte, 1) < 0)
      return EAI_SYSTEM;
    return EAI_NONAME;
  }
  return real(node, service, hints, res);
}
"""

# While a hundred streams wait for the name, another one is answered; then all are cancelled.
SCRIPT = """
    import os, sys, time
    import millstream

    url, messages = sys.argv[1], [{"role": "user", "content": "Hi"}]
    slow = millstream.Client(base_url="http://a.hang/v1", api_key="k", max_retries=0)
    quick = millstream.Client(base_url=url, api_key="k", max_retries=0)
    streams = [slow.stream(model="m", messages=messages) for _ in range(100)]
    answers = [quick.stream(model="m", messages=messages).result().text for _ in range(20)]
    print(len(set(answers)), answers[0], len(os.listdir("/proc/self/task")), flush=True)
    for stream in streams[:50]:
        stream.cancel()
    print(quick.stream(model="m", messages=messages).result().text, flush=True)
    sys.stdin.readline()  # the parent has let the look-ups go
    errors = set()
    for stream in streams[50:]:
        try:
            stream.result()
        except millstream.ConnectError as error:
            errors.add(error.code)
    print(errors, flush=True)
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    library = folder / "shim.so"
    compiler = os.environ.get("CC", "cc").split()
    source = str(folder / "shim.c")
    subprocess.run([*compiler, "-shared", "-fPIC", source, "-o", str(library), "-ldl"], check=True)
    return library


def test_a_hanging_look_up_stops_nobody_else(serve: Serve, shim: Path) -> None:
    server = serve(mock.Answer("Water."))
    hang, let_go = os.pipe()
    environment = {**os.environ, "LD_PRELOAD": str(shim), "HANG_FD": str(hang)}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), server.url],
        env=environment, pass_fds=[hang], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(hang)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        different, answer, threads = process.stdout.readline().split()
        assert (different, answer) == ("1", "Water.")
        # The main thread, the engine, and one look-up for the hundred streams.
        assert int(threads) <= 4
        assert process.stdout.readline() == "Water.\n"
        os.close(let_go)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "{'dns'}\n"
        assert process.wait(GIVE_UP_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
