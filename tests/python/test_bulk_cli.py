"""`millstream bulk` in real processes: files in and out, stopped and started again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from answers import GIVE_UP_S, eventually
from command_line import COMMAND, Terminal, environment, run
from conftest import API_KEY, Serve, Start
from millstream import mock
from millstream._bulk._files import BadFile, FileInUse, Requests, Results
from millstream._bulk._rows import Ids


def write(path: Path, count: int, **more: Any) -> None:
    rows = ({"id": f"r{n}", "prompt": f"q{n}", **more} for n in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def to(server: mock.Server) -> dict[str, Any]:
    """That server by its environment."""
    env = environment(
        MILLSTREAM_BASE_URL=server.url, MILLSTREAM_API_KEY=API_KEY, MILLSTREAM_MODEL="mock-echo"
    )
    return {"env": env}


def bulk(server: mock.Server, *arguments: object, **more: Any) -> tuple[int, str, str]:
    return run("bulk", *map(str, arguments), **to(server), **more)


def grew(path: Path, had: int) -> bool:
    return path.exists() and path.stat().st_size > had


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "in.jsonl", tmp_path / "out.jsonl"


def test_from_a_file_to_a_file(serve: Serve, files: tuple[Path, Path]) -> None:
    source, target = files
    write(source, 200)
    server = serve()
    code, out, err = bulk(server, source, "-o", target, "-c", 50)
    assert (code, out) == (0, "")
    rows = rows_of(target)
    assert {row["id"]: row["text"] for row in rows} == {f"r{n}": f"q{n}" for n in range(200)}
    assert {row["error"] for row in rows} == {None}
    assert "200 done · 0 failed" in err
    code, _, err = bulk(server, source, "-o", target)
    assert code == 0
    assert "200 were there" in err
    assert len(server.requests) == 200
    assert rows_of(target) == rows


def test_from_standard_input_to_standard_output(serve: Serve) -> None:
    code, out, err = bulk(serve(), "-", "-q", "--ordered", input=b'"a"\n\n{"prompt": "b"}\n')
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["a", "b"]
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["0", "2"]
    assert (code, err) == (0, "")


def test_killed_at_any_moment_each_id_is_there_once(
    serve: Serve, start: Start, files: tuple[Path, Path]
) -> None:
    source, target = files
    write(source, 1500)
    server = serve()
    draw = random.Random(7)
    for _ in range(4):
        process = start("bulk", str(source), "-o", str(target), "-c", "100", **to(server))
        had = target.stat().st_size if target.exists() else 0
        assert eventually(lambda: grew(target, had) or process.poll() is not None)  # noqa: B023
        time.sleep(draw.random() / 10)  # any moment
        process.kill()
        process.wait()
    assert bulk(server, source, "-o", target, "-c", 100)[0] == 0
    ids = [row["id"] for row in rows_of(target)]
    assert sorted(ids) == sorted(f"r{n}" for n in range(1500))
    assert len(server.requests) < 1500 + 5 * 100 + 100  # what was in flight, and was not written


def test_ordered_and_killed(serve: Serve, start: Start, files: tuple[Path, Path]) -> None:
    source, target = files
    write(source, 600)
    server = serve()
    process = start("bulk", str(source), "-o", str(target), "--ordered", "-q", **to(server))
    assert eventually(lambda: target.exists() and target.stat().st_size > 10_000)
    process.kill()
    process.wait()
    assert bulk(server, source, "-o", target, "--ordered")[0] == 0
    assert [row["index"] for row in rows_of(target)] == list(range(600))


def test_ctrl_c(serve: Serve, start: Start, files: tuple[Path, Path]) -> None:
    source, target = files
    write(source, 20)
    gate = mock.Gate()
    asked: list[str] = []

    def script(request: mock.Request) -> Any:
        asked.append(request.json()["messages"][0]["content"])
        return "x" if len(asked) == 1 else mock.Answer([gate])

    server = serve(script)
    process = start("bulk", str(source), "-o", str(target), "-q", **to(server))
    assert eventually(lambda: len(asked) == 20 and target.stat().st_size > 0)
    process.send_signal(signal.SIGINT)
    assert process.wait(GIVE_UP_S) == 130
    assert [row["text"] for row in rows_of(target)] == ["x"]


def test_failed_rows_are_asked_again_in_their_place(serve: Serve, files: tuple[Path, Path]) -> None:
    source, target = files
    write(source, 30)

    def half(request: mock.Request) -> Any:
        text = request.json()["messages"][0]["content"]
        return mock.Error(400) if int(text[1:]) % 2 else text

    code, _, err = bulk(serve(half), source, "-o", target, "--ordered")
    assert code == 1
    assert "15 failed" in err
    assert sum(row["error"] is not None for row in rows_of(target)) == 15
    server = serve()
    assert bulk(server, source, "-o", target)[0] == 0  # they are done too, unless
    assert not server.requests
    assert bulk(server, source, "-o", target, "--ordered", "--retry-failed")[0] == 0
    assert len(server.requests) == 15
    rows = rows_of(target)
    assert [row["text"] for row in rows] == [f"q{n}" for n in range(30)]
    assert {row["error"] for row in rows} == {None}


@pytest.mark.parametrize(
    ("script", "code"),
    [(mock.Error(401), 4), (mock.Error(400), 1), (mock.Error(500), 1)],
)
def test_where_all_fail_the_exit_code_says_why(
    serve: Serve, files: tuple[Path, Path], script: Any, code: int
) -> None:
    source, target = files
    write(source, 2)
    assert bulk(serve(script), source, "-o", target, "--max-retries", 0)[0] == code


def test_a_torn_line_is_cut_off(serve: Serve, files: tuple[Path, Path]) -> None:
    source, target = files
    write(source, 10)
    server = serve()
    bulk(server, source, "-o", target)
    whole = target.read_bytes()
    lines = whole.splitlines(keepends=True)
    target.write_bytes(b"".join(lines[:-1]) + lines[-1][:-9])
    code, _, err = bulk(server, source, "-o", target)
    assert code == 0
    assert "torn" in err
    assert len(server.requests) == 11
    assert len(rows_of(target)) == 10


def test_a_file_of_something_else_is_left_alone(serve: Serve, files: tuple[Path, Path]) -> None:
    source, target = files
    write(source, 1)
    target.write_text("my notes\n")
    code, _, err = bulk(serve(), source, "-o", target)
    assert code == 1
    assert "line 1 is not a result" in err
    assert target.read_text() == "my notes\n"


def test_two_jobs_on_one_file(serve: Serve, start: Start, files: tuple[Path, Path]) -> None:
    source, target = files
    write(source, 1)
    gate = mock.Gate()
    server = serve(mock.Answer([gate, "x"]))
    process = start("bulk", str(source), "-o", str(target), **to(server))
    assert eventually(lambda: bool(server.requests))
    code, _, err = bulk(server, source, "-o", target)
    assert code == 1
    assert "another job" in err
    gate.open()
    assert process.wait(GIVE_UP_S) == 0


def test_bad_lines_and_double_ids_are_told(serve: Serve, files: tuple[Path, Path]) -> None:
    source, target = files
    source.write_text('{"id": "a", "prompt": "x"}\nnot JSON\n{"id": "a", "prompt": "y"}\n')
    code, _, err = bulk(serve(), source, "-o", target)
    assert code == 1
    assert "'a' was given before" in err
    rows = {row["id"]: row for row in rows_of(target)}
    assert set(rows) == {"a", "1"}
    assert "line 2 is not JSON" in rows["1"]["error"]["message"]


def test_a_full_disk_is_told_and_nothing_is_torn(serve: Serve, files: tuple[Path, Path]) -> None:
    source, target = files
    write(source, 50)
    limited = ["sh", "-c", 'ulimit -f 8; trap "" XFSZ; exec "$0" "$@"']
    done = subprocess.run(
        [*limited, *COMMAND, "bulk", str(source), "-o", str(target)],
        capture_output=True, timeout=GIVE_UP_S, check=False, **to(serve()),
    )  # fmt: skip
    assert done.returncode == 1
    assert str(target) in done.stderr.decode()
    assert target.read_bytes().endswith(b"\n")
    assert rows_of(target)
    assert bulk(serve(), source, "-o", target)[0] == 0
    assert sorted(row["id"] for row in rows_of(target)) == sorted(f"r{n}" for n in range(50))


def test_a_schema(serve: Serve, files: tuple[Path, Path], tmp_path: Path) -> None:
    source, target = files
    write(source, 1)
    schema = {"title": "City", "type": "object", "properties": {"name": {"type": "string"}}}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    server = serve('{"name": "Ulm"}')
    arguments = (source, "-o", target, "--schema", tmp_path / "schema.json")
    assert bulk(server, *arguments)[0] == 0
    assert rows_of(target)[0]["parsed"] == {"name": "Ulm"}
    assert "Ulm" not in json.dumps(server.requests[0].json())
    sent = server.requests[0].json()["response_format"]["json_schema"]
    assert sent["name"] == "City"


def test_prices_and_endpoints(serve: Serve, files: tuple[Path, Path]) -> None:
    source, target = files
    write(source, 8, temperature=0)
    answer = mock.Answer("x", usage=mock.Usage(1000, 100))
    one, other = serve(answer), serve(answer)
    code, _, err = bulk(
        one, source, "-o", target, "--endpoint", one.url, "--endpoint", other.url + "=3",
        "--price-in", 1, "--price-out", 10, "-c", 1, "-s", "Be brief.",
    )  # fmt: skip
    assert code == 0
    assert [len(one.requests), len(other.requests)] == [2, 6]
    assert rows_of(target)[0]["cost"] == pytest.approx(0.002)
    assert "cost 0.016" in err
    sent = one.requests[0].json()
    assert sent["temperature"] == 0
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_bar_on_a_terminal(serve: Serve, files: tuple[Path, Path]) -> None:
    source, target = files
    write(source, 50)
    env = to(serve())["env"]
    wanted = {name: env[name] for name in env if name.startswith("MILLSTREAM_")}
    with Terminal("bulk", str(source), "-o", str(target), COLUMNS="200", **wanted) as terminal:
        code, said = terminal.end()
    assert code == 0
    assert "chunks/s" in said
    assert "50 done · 0 failed" in said


def test_parquet(serve: Serve, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra [parquet] is not here")
    pa = pytest.importorskip("pyarrow")
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    columns = {"id": ["a", "b", "c"], "prompt": ["x", "y", "z"], "max_tokens": [None, 5, None]}
    parquet.write_table(pa.table(columns), source)
    server = serve()
    assert bulk(server, source, "-o", target, "--ordered")[0] == 0
    rows = parquet.read_table(target).to_pylist()
    assert [(row["id"], row["text"], row["error"]) for row in rows] == [
        ("a", "x", None), ("b", "y", None), ("c", "z", None),
    ]  # fmt: skip
    assert rows[0]["usage"]["output_tokens"] == 1
    assert [request.json().get("max_completion_tokens") or request.json().get("max_tokens")
            for request in server.requests].count(5) == 1  # fmt: skip
    assert not list(tmp_path.glob("*.jsonl*"))
    assert bulk(server, source, "-o", target)[0] == 0
    assert len(server.requests) == 3
    assert parquet.read_table(target).to_pylist() == rows


# ---- the files by themselves ---------------------------------------------------------------------


def row(index: int, error: Any = None) -> dict[str, Any]:
    return {"id": str(index), "index": index, "text": "ä\u2028", "error": error}


def test_results_are_put_in_order(tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    with Results(path) as results:
        for index in (3, 1):
            results.add(row(index))
    with Results(path, ordered=True) as results:
        assert "3" in results.done
        for index in (0, 2):
            results.add(row(index))
    assert [each["index"] for each in rows_of(Path(path))] == [0, 1, 2, 3]
    with Results(path, ordered=True):
        pass
    assert os.listdir(tmp_path) == ["out"]


def test_the_lock_stays_when_the_file_is_made_anew(tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    with Results(path) as results:
        results.add(row(0, {"type": "x"}))
        results.add(row(1))
    with Results(path, retry_failed=True) as results:
        assert "0" not in results.done
        with pytest.raises(FileInUse):
            Results(path)
        results.add(row(0))
    assert [each["index"] for each in rows_of(Path(path))] == [1, 0]
    Results(path).__exit__(None)


def test_any_cut_of_the_file_is_put_right(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with Results(str(path)) as results:
        for index in range(3):
            results.add(row(index))
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        with Results(str(path)) as results:
            done = len(results.done)
            assert done == whole[:size].count(b"\n")
            for index in range(done, 3):
                results.add(row(index))
        assert path.read_bytes() == whole


def test_requests_that_are_done_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_text('{"id": 7}\n"x"\n\n{"custom_id": "c", "body": {}}\n{"id": []}\n')
    done = Ids()
    done.add("1")
    requests = Requests(str(path), done)
    assert [(each.index, each.id) for each in requests] == [(0, "7"), (3, "c"), (4, "4")]
    assert requests.skipped == 1
    assert requests.share == 1


def test_parquet_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(BadFile, match=r"millstream\[parquet\]"):
        Results(str(tmp_path / "x.parquet"))
