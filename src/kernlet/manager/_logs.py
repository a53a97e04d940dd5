# SPDX-License-Identifier: Apache-2.0
"""What a detached instance printed: one JSON object a line.

``{"time": ns, "stream": "stdout" | "stderr" | "kernel", "text": "..."}``. The text keeps its line
break; bytes that are not UTF-8 are kept as lone surrogates, so that the output can be shown exactly
as it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Any

STREAMS = ("stdout", "stderr", "kernel")
MAX_BYTES = 16 << 20
"""Size at which a log is set aside; one older part is kept."""
_LONGEST_LINE = 16 << 10
_POLL_SECONDS = 0.1


class LogWriter:
    """Appends to the log of one instance; the keeper is the only writer."""

    def __init__(self, folder: str, max_bytes: int = MAX_BYTES) -> None:
        self._path = f"{folder}/log.jsonl"
        self._max = max_bytes
        self._rest = dict.fromkeys(STREAMS, b"")
        self._file = open(self._path, "ab")  # noqa: PTH123, SIM115 - closed by close()

    def add(self, stream: str, data: bytes) -> None:
        """Add what was read; a line is written when it is complete or very long."""
        *lines, rest = (self._rest[stream] + data).split(b"\n")
        out = [self._record(stream, line + b"\n") for line in lines]
        if len(rest) >= _LONGEST_LINE:
            out.append(self._record(stream, rest))
            rest = b""
        self._rest[stream] = rest
        self._write(out)

    def flush(self) -> None:
        """Write unfinished lines as they are."""
        for stream, rest in self._rest.items():
            if rest:
                self._write([self._record(stream, rest)])
                self._rest[stream] = b""

    def close(self) -> None:
        """Write the rest and close the file."""
        self.flush()
        self._file.close()

    def _record(self, stream: str, data: bytes) -> bytes:
        text = data.decode("utf-8", "surrogateescape")
        entry = {"time": time.time_ns(), "stream": stream, "text": text}
        return json.dumps(entry).encode("ascii") + b"\n"

    def _write(self, records: list[bytes]) -> None:
        if not records:
            return
        with contextlib.suppress(OSError):  # a full disk must not stop the guest
            self._file.write(b"".join(records))
            self._file.flush()
            if self._file.tell() > self._max:
                self._file.close()
                os.replace(self._path, f"{self._path}.1")  # noqa: PTH105 - start-up time
                self._file = open(self._path, "ab")  # noqa: PTH123, SIM115


def read_log(
    folder: str,
    follow: Callable[[], bool] | None = None,
    *,
    tail: int | None = None,
    streams: Collection[str] = STREAMS,
) -> Iterator[dict[str, Any]]:
    """Yield the entries of ``streams``, of those that are there already only the last ``tail``.

    With ``follow``, go on for as long as it returns True.
    """
    path = f"{folder}/log.jsonl"
    alive = follow is not None and follow()
    older = b""
    with contextlib.suppress(OSError), open(f"{path}.1", "rb") as file:  # noqa: PTH123
        older = file.read()
    try:
        file = open(path, "rb")  # noqa: PTH123, SIM115 - closed below
    except OSError:
        return
    try:
        complete, newline, rest = (older + file.read()).rpartition(b"\n")
        wanted = (e for e in _entries(complete + newline) if e["stream"] in streams)
        yield from wanted if tail is None else deque(wanted, maxlen=tail)
        while alive:
            alive = follow is not None and follow()
            data = file.read()
            complete, newline, rest = (rest + data).rpartition(b"\n")
            yield from (e for e in _entries(complete + newline) if e["stream"] in streams)
            if not data and alive:
                if os.fstat(file.fileno()).st_ino != _inode(path):
                    file.close()
                    file = open(path, "rb")  # noqa: PTH123, SIM115
                time.sleep(_POLL_SECONDS)
    finally:
        file.close()


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino  # noqa: PTH116
    except OSError:
        return 0


def _entries(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and {"time", "stream", "text"} <= entry.keys():
                yield entry
