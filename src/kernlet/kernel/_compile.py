# SPDX-License-Identifier: Apache-2.0
"""Compiles source files, each object cached by the content of all that went into it.

The cache has two levels. A *record* for a source file and its flags lists the files that the compiler read (their size,
time and hash) and the key of the object; when no file has changed, looking at their times is all the work there is.
Otherwise the compiler runs, and the object is stored under a key made of the flags, the compiler's version and the
content of the files.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ._errors import CompileError, KernelError
from ._objects import ObjectSymbols, read_symbols

__all__ = ["CompiledObject", "Compiler", "Unit", "store"]

_FORMAT = 2
_TIMEOUT_S = 120


@dataclass(frozen=True)
class Unit:
    """One source file to compile. ``source`` is relative to the tree's root, or absolute when generated."""

    owner: str
    source: Path
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class CompiledObject:
    """An object file in the cache; ``key`` stands for its content."""

    unit: Unit
    path: Path
    key: str
    symbols: ObjectSymbols


def store(path: Path, data: bytes) -> None:
    """Write a file of the cache whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class Compiler:
    """Compiles units with one set of flags. Safe to use from several processes at once."""

    def __init__(
        self, cc: str, identity: str, root: Path, cache: Path, flags: Sequence[str]
    ) -> None:
        self._cc = cc
        self._root = root
        self._cache = cache
        self._flags = tuple(flags)
        self._identity = f"{_FORMAT}\0{cc}\0{identity}"
        self._hashes: dict[str, tuple[int, int, str]] = {}

    def compile_all(
        self, units: Sequence[Unit], progress: Callable[[Unit, bool], None] | None = None
    ) -> list[CompiledObject]:
        """Compile what is not in the cache, on all CPUs; ``progress(unit, cached)`` is called after each.

        Raises CompileError with the words of every failed compilation in ``output``.
        """
        found = {unit: self._lookup(unit) for unit in units}
        failures: list[CompileError] = []
        jobs = int(os.environ.get("KERNLET_JOBS", "0")) or os.cpu_count() or 1
        with ThreadPoolExecutor(jobs) as pool:
            waiting = {
                unit: pool.submit(self._compile, unit)
                for unit, known in found.items()
                if known is None
            }
            for unit in found:
                cached = unit not in waiting
                if not cached:
                    try:
                        found[unit] = waiting[unit].result()
                    except CompileError as error:
                        failures.append(error)
                        continue
                if progress is not None:
                    progress(unit, cached)
        if failures:
            output = "\n".join(error.output for error in failures)
            first = failures[0]
            more = f" (and {len(failures) - 1} more files)" if len(failures) > 1 else ""
            raise CompileError(first.message + more, cause=first.cause, output=output)
        return [compiled for compiled in found.values() if compiled is not None]

    # --- looking up ---

    def _record_path(self, unit: Unit) -> Path:
        text = "\0".join(
            [self._identity, str(self._root), str(unit.source), *self._flags, *unit.flags]
        )
        return self._cache / "records" / f"{hashlib.sha256(text.encode()).hexdigest()[:40]}.json"

    def _object_path(self, key: str) -> Path:
        return self._cache / "objects" / key[:2] / f"{key}.o"

    def _lookup(self, unit: Unit) -> CompiledObject | None:
        try:
            record = json.loads(self._record_path(unit).read_bytes())
            key = str(record["key"])
            for name, size, mtime_ns, digest in record["inputs"]:
                if self._hash(name, (size, mtime_ns, digest)) != digest:
                    return None
            symbols = ObjectSymbols(
                *(frozenset(record[part]) for part in ("defined", "undefined", "weak"))
            )
            path = self._object_path(key)
            return CompiledObject(unit, path, key, symbols) if path.is_file() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _hash(self, name: str, known: tuple[int, int, str] | None = None) -> str:
        """Return the hash of a file's content; ``known`` is believed while size and time have not changed."""
        if name not in self._hashes:
            path = self._root / name
            stat = path.stat()
            if known is not None and known[:2] == (stat.st_size, stat.st_mtime_ns):
                digest = known[2]
            else:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
            self._hashes[name] = (stat.st_size, stat.st_mtime_ns, digest)
        return self._hashes[name][2]

    # --- compiling ---

    def _compile(self, unit: Unit) -> CompiledObject:
        objects = self._cache / "objects"
        objects.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=objects) as folder:
            result = Path(folder) / "out.o"
            depends = Path(folder) / "out.d"
            started_ns = time.time_ns()
            command = [self._cc, *self._flags, *unit.flags, "-c", "-MD", "-MF", str(depends)]
            self._run([*command, "-o", str(result), str(unit.source)], unit)
            inputs = _read_depfile(depends.read_text(encoding="utf-8"))
            symbols = read_symbols(result)
            rows = []
            for name in inputs:
                digest = self._hash(name)
                rows.append((name, *self._hashes[name][:2], digest))
            key = self._key(unit, rows)
            path = self._object_path(key)
            store(path, result.read_bytes())
        if all(row[2] < started_ns for row in rows):
            record = {
                "key": key,
                "inputs": rows,
                "defined": sorted(symbols.defined),
                "undefined": sorted(symbols.undefined),
                "weak": sorted(symbols.weak),
            }
            store(self._record_path(unit), json.dumps(record).encode())
        return CompiledObject(unit, path, key, symbols)

    def _key(self, unit: Unit, rows: Sequence[tuple[str, int, int, str]]) -> str:
        flags = [
            flag for flag in (*self._flags, *unit.flags) if not flag.startswith(f"-I{self._cache}")
        ]
        source = unit.source.name if unit.source.is_absolute() else str(unit.source)
        parts = [self._identity, source, *flags]
        parts += [
            f"{Path(name).name if name.startswith('/') else name}={digest}"
            for name, _, _, digest in rows
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]

    def _run(self, command: Sequence[str], unit: Unit) -> None:
        try:
            done = subprocess.run(
                command,
                cwd=self._root,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                errors="replace",
            )
        except subprocess.TimeoutExpired as error:
            raise CompileError(
                f"compiling {unit.source} took longer than {_TIMEOUT_S} s"
            ) from error
        except OSError as error:
            raise KernelError(f"can't run {self._cc}", cause=error.strerror) from error
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if "error:" in line]
            cause = lines[0] if lines else done.stderr.strip()[-300:]
            raise CompileError(
                f"{unit.owner}: {unit.source} does not compile", cause=cause, output=done.stderr
            )


def _read_depfile(text: str) -> list[str]:
    """Return the prerequisites in a make rule, without doubles, in order."""
    _, _, rest = text.replace("\\\n", " ").partition(": ")
    names: list[str] = []
    current = ""
    position = 0
    while position < len(rest):
        letter = rest[position]
        if letter == "\\" and position + 1 < len(rest):
            position += 1
            current += rest[position]
        elif letter.isspace():
            names.append(current)
            current = ""
        else:
            current += letter
        position += 1
    names.append(current)
    return list(dict.fromkeys(os.path.normpath(name) for name in names if name))
