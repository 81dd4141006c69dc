"""The files of a bulk job: requests read line by line, results appended so that a stop at any
moment loses nothing that was written.

A result is one line, appended by one write; a line that a stop has torn is cut off at the next
start, and the ids that are there are not asked again. Parquet cannot be appended to: its results go
to a file of lines beside it, of which it is made at the end. The file is locked while a job writes.

Errors: OSError, of the system; FileInUse; BadFile, which says what is wrong in which line.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._rows import Ids, Placed, id_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_SYNC_EVERY_S = 1.0
_READ_BYTES = 1 << 20
_PARQUET_ROWS = 10_000
_STANDARD = "-"


class FileInUse(OSError):
    """Another job writes it."""


class BadFile(ValueError):
    """It is not what it should be."""


def is_parquet(path: str) -> bool:
    """By its name."""
    return path.endswith((".parquet", ".pq"))


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise BadFile("Parquet needs: pip install millstream[parquet]") from None
    return pyarrow.parquet


# ---- in ------------------------------------------------------------------------------------------


class Requests:
    """The requests of a file, but for those that were done."""

    def __init__(self, path: str, done: Ids) -> None:
        self._done = done
        self._path = path
        self._read = 0
        self._size = 0
        self.skipped = 0
        self.total: int | None = None
        self._rows = self._rows_of_parquet() if is_parquet(path) else self._rows_of_lines()

    @property
    def share(self) -> float | None:
        """How much of the file was read, 0 to 1; None: that cannot be known."""
        return min(1.0, self._read / self._size) if self._size else None

    def __iter__(self) -> Iterator[Placed]:
        for index, item in self._rows:
            id_ = str(index)
            if isinstance(item, dict):
                try:
                    id_ = id_of(item, id_)
                except TypeError as error:
                    item = error
            if id_ in self._done:
                self.skipped += 1
            else:
                yield Placed(index, id_, item)

    def _rows_of_lines(self) -> Iterator[tuple[int, Any]]:
        with self._opened() as file:
            for index, line in enumerate(file):
                self._read += len(line)
                if line.strip():
                    yield index, _value(line, index)

    def _opened(self) -> contextlib.AbstractContextManager[BinaryIO]:
        if self._path == _STANDARD:
            return contextlib.nullcontext(sys.stdin.buffer)
        file = open(self._path, "rb")  # noqa: SIM115  # a context manager itself
        self._size = os.fstat(file.fileno()).st_size
        return file

    def _rows_of_parquet(self) -> Iterator[tuple[int, Any]]:
        with _parquet().ParquetFile(self._path) as file:
            self._size = file.metadata.num_rows
            for batch in file.iter_batches(_PARQUET_ROWS):
                for row in batch.to_pylist():
                    present = {name: value for name, value in row.items() if value is not None}
                    yield self._read, present
                    self._read += 1


def _value(line: bytes, index: int) -> Any:
    """Of a line; what is wrong with it becomes its request's error."""
    try:
        return json.loads(line)
    except ValueError as error:
        return ValueError(f"line {index + 1} is not JSON: {error}")


# ---- out -----------------------------------------------------------------------------------------


class Results:
    """The file that results are appended to. A context manager, which makes it whole at the end.

    retry_failed: rows with an error are taken out at the start, so that they are asked again.
    ordered: at the end its rows stand in the order of the requests, whatever former jobs did.
    """

    def __init__(self, path: str, *, retry_failed: bool = False, ordered: bool = False) -> None:
        self._final = path if is_parquet(path) else None
        if self._final is not None:
            _parquet()
        self._path = path + ".jsonl" if self._final is not None else path
        self._ordered = ordered
        self.done = Ids()
        self.cut_bytes = 0
        self._in_order = True
        self._last = -1
        self._synced = time.monotonic()
        self._unsynced = False
        self._fd = _open_locked(self._path)
        try:
            self._begin(retry_failed)
        except BaseException:
            os.close(self._fd)
            raise

    def _begin(self, retry_failed: bool) -> None:
        size = os.fstat(self._fd).st_size
        if not size and self._final is not None and os.path.exists(self._final):
            self._fill_from_parquet()
        self._size = self._cut_torn_line()
        failed = 0
        for row in self._rows():
            if retry_failed and row["error"] is not None:
                failed += 1
            else:
                self.done.add(row["id"])
                self._note_order(row["index"])
        if failed:
            self._rewrite(line for row, line in self._lines() if row["error"] is None)

    def add(self, row: dict[str, Any]) -> None:
        """Append a result, whole or not at all."""
        self._note_order(row["index"])
        line = json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
        self._append(line.encode("utf-8", "backslashreplace"))
        if time.monotonic() - self._synced >= _SYNC_EVERY_S:
            self._sync()

    def _append(self, data: bytes) -> None:
        try:
            written = os.write(self._fd, data)
            while written < len(data):  # rare: the disk is full, and then the next one says so
                written += os.write(self._fd, data[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise OSError(error.errno, os.strerror(error.errno or 0), self._path) from error
        self._size += len(data)
        self._unsynced = True

    def _sync(self) -> None:
        if self._unsynced:
            os.fdatasync(self._fd)
            self._unsynced = False
        self._synced = time.monotonic()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            self._sync()
            if kind is None:
                self._finish()
        finally:
            os.close(self._fd)

    def _finish(self) -> None:
        if self._ordered and not self._in_order:
            self._sort()
        if self._final is not None:
            self._write_parquet(self._final)
            os.unlink(self._path)

    # ---- what is there already -------------------------------------------------------------------

    def _cut_torn_line(self) -> int:
        """What stands behind the last end of a line was not written to its end."""
        size = at = os.fstat(self._fd).st_size
        while at:
            begin = max(0, at - _READ_BYTES)
            found = os.pread(self._fd, at - begin, begin).rfind(b"\n")
            if found >= 0:
                at = begin + found + 1
                break
            at = begin
        if at < size:
            self.cut_bytes = size - at
            os.ftruncate(self._fd, at)
        return at

    def _lines(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        with open(self._path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    row = json.loads(line)
                    row["id"], row["index"], row["error"]
                except (ValueError, TypeError, KeyError):
                    raise BadFile(
                        f"{self._path}: line {number} is not a result of a bulk job; "
                        "give another file, or put that line right"
                    ) from None
                yield row, line

    def _rows(self) -> Iterator[dict[str, Any]]:
        return (row for row, _ in self._lines())

    def _note_order(self, index: int) -> None:
        self._in_order = self._in_order and index > self._last
        self._last = index

    # ---- made anew -------------------------------------------------------------------------------

    def _rewrite(self, lines: Iterator[bytes]) -> None:
        """Put these lines in the file's place, in one step."""
        beside = self._path + ".new"
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(beside, flags, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with open(fd, "wb", closefd=False) as file:
                file.writelines(lines)
            os.fsync(fd)
            os.rename(beside, self._path)
            os.dup2(fd, self._fd, inheritable=False)  # with its lock
        finally:
            os.close(fd)
        _sync_folder(self._path)
        self._size = os.fstat(self._fd).st_size

    def _sort(self) -> None:
        indexes, offsets, at = array.array("q"), array.array("q"), 0
        for row, line in self._lines():
            indexes.append(row["index"])
            offsets.append(at)
            at += len(line)
        order = sorted(range(len(indexes)), key=indexes.__getitem__)
        with open(self._path, "rb") as file:
            self._rewrite(_line_at(file, offsets[each]) for each in order)

    def _fill_from_parquet(self) -> None:
        """A finished file is taken up again."""
        with _parquet().ParquetFile(self._final) as file:
            lines = (
                json.dumps(_row_of(row), ensure_ascii=False).encode() + b"\n"
                for batch in file.iter_batches(_PARQUET_ROWS)
                for row in batch.to_pylist()
            )
            self._rewrite(lines)

    def _write_parquet(self, path: str) -> None:
        import pyarrow as pa

        schema = _parquet_schema(pa)
        beside = path + ".new"
        with _parquet().ParquetWriter(beside, schema) as writer:
            rows: list[dict[str, Any]] = []
            for row in self._rows():
                row["parsed"] = None if row["parsed"] is None else json.dumps(row["parsed"])
                rows.append(row)
                if len(rows) >= _PARQUET_ROWS:
                    writer.write_table(pa.Table.from_pylist(rows, schema))
                    rows.clear()
            writer.write_table(pa.Table.from_pylist(rows, schema))
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.rename(beside, path)
        _sync_folder(path)


def _open_locked(path: str) -> int:
    """Open and lock it; who holds it may have put another in its place meanwhile."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except BlockingIOError:
            os.close(fd)
            raise FileInUse(f"{path}: another job writes it") from None
        except FileNotFoundError:
            pass
        os.close(fd)


def _sync_folder(path: str) -> None:
    """A new name is there after a power failure only when its folder was written."""
    fd = os.open(Path(path).absolute().parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _line_at(file: BinaryIO, offset: int) -> bytes:
    file.seek(offset)
    return file.readline()


def _row_of(row: dict[str, Any]) -> dict[str, Any]:
    """Of a row of Parquet."""
    parsed = row["parsed"]
    return {**row, "parsed": None if parsed is None else json.loads(parsed)}


def _parquet_schema(pa: Any) -> Any:
    text, number, real = pa.string(), pa.int64(), pa.float64()
    return pa.schema(
        {
            "id": text, "index": number, "text": text, "reasoning": text, "refusal": text,
            "tool_calls": pa.list_(pa.struct({"id": text, "name": text, "arguments": text})),
            "parsed": text, "finish_reason": text, "model": text,
            "usage": pa.struct(
                dict.fromkeys(
                    ("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens"), number
                )
            ),
            "cost": real,
            "error": pa.struct(
                {"type": text, "message": text, "status": number, "code": text, "request_id": text}
            ),
            "attempts": number, "endpoint": text, "first_chunk": real, "duration": real,
        }
    )  # fmt: skip
