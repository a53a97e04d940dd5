# SPDX-License-Identifier: Apache-2.0
"""The whole analysis: of a program on this machine, or of a root file system that is about to become an image."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kernlet.build.analysis._result import Analysis, from_json, merge, to_json
from kernlet.build.analysis._summary import (
    Summary,
    analyser_identity,
    from_bytes,
    to_bytes,
)
from kernlet.build.cache import ContentCache
from kernlet.build.dependencies import Found, RootView, find_dependencies, parse_cache
from kernlet.errors import KernletError

__all__ = ["AnalysisError", "Binary", "analyse_binaries", "analyse_program"]

_ROUNDS_MAX = 4
_TIMEOUT_S = 600
_WORTH_A_PROCESS = 300_000

Progress = Callable[[str, int, int], None]


class AnalysisError(KernletError):
    """A program can't be analysed."""


@dataclass(frozen=True)
class Binary:
    """An ELF file to be looked at: its path in the guest, its role (see File in _link.py), its bytes."""

    path: str
    role: str
    data: bytes

    @cached_property
    def sha256(self) -> str:
        """The hash of the bytes, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def analyse_program(
    program: str,
    root: RootView | None = None,
    *,
    extra: Sequence[str] = (),
    cache: ContentCache | None = None,
    numbers: Mapping[str, int] | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Analyse the program at path ``program`` in ``root`` with the libraries that its loader finds.

    ``extra`` names plug-ins that it loads by path. Raises a KernletError.
    """
    root = root or RootView()
    plug_ins = list(extra)
    by_name: set[str] = set()
    while True:
        binaries = _binaries(program, root, extra, plug_ins)
        analysis = analyse_binaries(binaries, cache=cache, numbers=numbers, progress=progress)
        new = [
            path
            for path in _loadable(root, analysis.libraries)
            if path not in by_name and all(binary.path != path for binary in binaries)
        ]
        if not new:
            return analysis
        by_name.update(new)
        plug_ins += new


def _binaries(
    program: str, root: RootView, extra: Sequence[str], plug_ins: Sequence[str]
) -> list[Binary]:
    """Return the program and all that it may load; ``plug_ins`` are the ``extra`` ones and those found by name."""
    found = root.resolve(program)
    if found is None or not found.host.is_file():
        raise AnalysisError(f"there is no program {program}", hint="check the path")
    dependencies = find_dependencies(program, root, extra=tuple(plug_ins))
    wanted: list[tuple[Found, str]] = [(found, "program")]
    for path in plug_ins:
        plug_in = root.resolve(path)
        if plug_in is not None:
            wanted.append((plug_in, "plug-in" if path in extra else "loaded"))
    wanted += [
        (library.found, "needed" if library.reason == "needed" else "loaded")
        for library in dependencies.libraries
    ]
    if dependencies.interpreter_found is not None:
        wanted.append((dependencies.interpreter_found, "interpreter"))
    binaries: dict[str, Binary] = {}
    for item, role in wanted:
        if item.path not in binaries or role == "interpreter":
            binaries[item.path] = Binary(item.path, role, _read(item.host))
    return list(binaries.values())


def _loadable(root: RootView, names: Iterable[str]) -> list[str]:
    """Return the real paths of the libraries that are there, of those that code names: by path or as ldconfig does."""
    known: dict[str, str] = {}
    for entry in parse_cache(root.read("/etc/ld.so.cache") or b""):
        known.setdefault(entry.name, entry.path)
    found = []
    for name in names:
        path = name if name.startswith("/") else known.get(name)
        file = root.file(path) if path is not None else None
        if file is not None and (root.read(file.path) or b"").startswith(b"\x7fELF"):
            found.append(file.path)
    return sorted(set(found))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AnalysisError(
            f"can't read {path}", cause=error.strerror, hint="check its permissions"
        ) from error


def analyse_binaries(
    binaries: Sequence[Binary],
    *,
    cache: ContentCache | None = None,
    numbers: Mapping[str, int] | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Analyse a program (the first one) with everything that it may load. Raises a KernletError."""
    cache = cache or ContentCache("analysis")
    if numbers is None:
        from kernlet.kernel import read_syscall_numbers

        numbers = read_syscall_numbers()
    parts = [f"{binary.path}\0{binary.role}\0{binary.sha256}" for binary in binaries]
    key = ContentCache.key("result", analyser_identity(), *parts)
    raw = cache.get(key)
    if raw is not None:
        try:
            return from_json(json.loads(zlib.decompress(raw)))
        except (ValueError, TypeError, KeyError, zlib.error):
            pass
    analysis = _analyse(binaries, cache, numbers, progress)
    cache.put(key, zlib.compress(json.dumps(to_json(analysis)).encode(), 1))
    return analysis


def _analyse(
    binaries: Sequence[Binary],
    cache: ContentCache,
    numbers: Mapping[str, int],
    progress: Progress | None,
) -> Analysis:
    from kernlet.build.analysis._link import File, link
    from kernlet.build.analysis._report import report

    interest: dict[int, set[str]] = {}
    for _ in range(_ROUNDS_MAX):
        summaries = _summaries(binaries, interest, cache, progress)
        files = [
            File(binary.path, summary, binary.role)
            for binary, summary in zip(binaries, summaries, strict=True)
        ]
        linked = link(files)
        new = {
            index: names - interest.get(index, set())
            for index, names in linked.wanted.items()
            if names - interest.get(index, set())
        }
        if not new:
            break
        for index, names in new.items():
            interest.setdefault(index, set()).update(names)
    return report(linked, numbers)


def _summaries(
    binaries: Sequence[Binary],
    interest: Mapping[int, Iterable[str]],
    cache: ContentCache,
    progress: Progress | None,
) -> list[Summary]:
    """Return what is known of each file; several that have to be looked at are so at once, each by its own process."""
    done = 0

    def look(index: int) -> Summary:
        nonlocal done
        binary = binaries[index]
        summary = _summary(binary, sorted(interest.get(index, ())), cache)
        done += 1
        if progress is not None:
            progress(binary.path, done, len(binaries))
        return summary

    jobs = int(os.environ.get("KERNLET_JOBS", "0")) or os.cpu_count() or 1
    # The largest first: the last one to be finished should be a small one.
    order = sorted(range(len(binaries)), key=lambda index: -len(binaries[index].data))
    with ThreadPoolExecutor(jobs) as pool:
        found = dict(zip(order, pool.map(look, order), strict=True))
    return [found[index] for index in range(len(binaries))]


def _summary(binary: Binary, interest: Sequence[str], cache: ContentCache) -> Summary:
    from kernlet.build.analysis._summary import summarise

    key = ContentCache.key(analyser_identity(), *interest, binary.sha256)
    raw = cache.get(key)
    if raw is not None:
        try:
            return from_bytes(raw)
        except (ValueError, TypeError, zlib.error):
            pass
    name = posixpath.basename(binary.path)
    if len(binary.data) < _WORTH_A_PROCESS:
        summary = summarise(binary.data, name, interest)
        cache.put(key, to_bytes(summary))
        return summary
    raw = _in_a_process(binary.data, name, interest)
    cache.put(key, raw)
    return from_bytes(raw)


def _in_a_process(data: bytes, name: str, interest: Sequence[str]) -> bytes:
    command = [sys.executable, "-m", "kernlet.build.analysis._analyse", name, *interest]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise AnalysisError(f"the analysis of {name} took longer than {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise AnalysisError(f"can't analyse {name}", cause=lines[-1] if lines else None)
    return done.stdout


def merge_programs(program: str, parts: Sequence[Analysis]) -> Analysis:
    """Return what can happen when any of several programs may run."""
    return merge(program, parts)


def _main(name: str, interest: Sequence[str]) -> int:
    from kernlet.build.analysis._summary import summarise

    try:
        summary = summarise(sys.stdin.buffer.read(), name, interest)
    except KernletError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(to_bytes(summary))
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], sys.argv[2:]))
