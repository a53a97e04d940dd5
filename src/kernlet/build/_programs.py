# SPDX-License-Identifier: Apache-2.0
"""Rewrites the ELF files of a root file system, each once: results are cached by content.

A rewriting that has to run takes seconds for a large library, so several files are rewritten at once, each by a Python
process of its own (``python -m kernlet.build._programs IN OUT GATE``).
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kernlet import _paths
from kernlet.build.sources import EntryKind, RootfsEntry
from kernlet.errors import KernletError

__all__ = ["RewrittenProgram", "rewrite_programs"]

_ELF = b"\x7fELF\x02\x01"
_TYPES = (2, 3)  # ET_EXEC, ET_DYN
_MACHINE_X86_64 = 62
_TIMEOUT_S = 300


@dataclass(frozen=True)
class RewrittenProgram:
    """One ELF file of the root file system. ``result`` is a file in the cache: the new content; None: unchanged.

    ``counts`` says what became of its system calls, by kernlet.build.rewrite.SiteStatus. ``problem``: why it was left.
    """

    path: str
    sha256: str
    result: Path | None
    counts: Counter[str]
    problem: str = ""


def rewrite_programs(
    entries: Iterable[RootfsEntry],
    *,
    gate_va: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[RewrittenProgram]:
    """Rewrite every ELF file among ``entries``; ``progress(path, done, all)`` is called after each.

    A file that the rewriter can't read stays as it is (its system calls then trap, which is slower). Raises OSError
    when a host file can't be read.
    """
    elves = [entry for entry in entries if entry.kind is EntryKind.FILE and _is_program(entry)]
    jobs = int(os.environ.get("KERNLET_JOBS", "0")) or os.cpu_count() or 1
    done = []
    with ThreadPoolExecutor(jobs) as pool:
        for program in pool.map(lambda entry: _rewrite(entry, gate_va), elves):
            done.append(program)
            if progress is not None:
                progress(program.path, len(done), len(elves))
    return done


def _is_program(entry: RootfsEntry) -> bool:
    """Tell executables and shared libraries for x86-64 from all else by the first bytes."""
    if entry.data is not None:
        head = entry.data[:20]
    elif entry.source is not None:
        with entry.source.open("rb") as file:
            head = file.read(20)
    else:
        return False
    return (
        len(head) == 20
        and head.startswith(_ELF)
        and int.from_bytes(head[16:18], "little") in _TYPES
        and int.from_bytes(head[18:20], "little") == _MACHINE_X86_64
    )


@functools.cache
def _rewriter_identity() -> str:
    """Return a hash of the rewriter's own sources: a change of it must not find old results."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for folder in (package / "rewrite", package.parent / "elf"):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _rewrite(entry: RootfsEntry, gate_va: int) -> RewrittenProgram:
    data = entry.read()
    sha256 = hashlib.sha256(data).hexdigest()
    key = hashlib.sha256(f"{_rewriter_identity()} {gate_va:x} {sha256}".encode()).hexdigest()[:40]
    folder = Path(_paths.cache_dir()) / "rewritten" / key[:2]
    facts, content = folder / f"{key}.json", folder / f"{key}.elf"
    known = _known(entry, sha256, facts, content)
    if known is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        source, result = Path(temporary) / "in", Path(temporary) / "out"
        source.write_bytes(data)
        outcome = _run(source, result, gate_va, Path(entry.path).name)
        if result.is_file():
            result.replace(content)
        record = Path(temporary) / "facts"
        record.write_text(json.dumps(outcome), encoding="utf-8")
        record.replace(facts)
    made = _known(entry, sha256, facts, content)
    if made is None:
        raise KernletError(f"the cache {folder} does not keep what is written to it")
    return made


def _known(entry: RootfsEntry, sha256: str, facts: Path, content: Path) -> RewrittenProgram | None:
    try:
        table = json.loads(facts.read_bytes())
        counts = Counter({str(key): int(value) for key, value in table["counts"].items()})
        changed, problem = bool(table["changed"]), str(table["problem"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if changed and not content.is_file():
        return None
    return RewrittenProgram(entry.path, sha256, content if changed else None, counts, problem)


def _run(source: Path, result: Path, gate_va: int, name: str) -> dict[str, object]:
    command = [
        sys.executable,
        "-m",
        "kernlet.build._programs",
        str(source),
        str(result),
        f"{gate_va:#x}",
        name,
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, errors="replace"
        )
        if done.returncode == 0:
            outcome: dict[str, object] = json.loads(done.stdout)
            return outcome
        problem = (
            done.stderr.strip().splitlines()
            or [f"the rewriter ended with status {done.returncode}"]
        )[-1]
    except subprocess.TimeoutExpired:
        problem = f"rewriting took longer than {_TIMEOUT_S} s"
    except ValueError:
        problem = "the rewriter said nothing"
    return {"counts": {}, "changed": False, "problem": problem}


def _main(source: str, result: str, gate_va: str, name: str) -> int:
    from kernlet.build.rewrite import rewrite_elf

    data = Path(source).read_bytes()
    try:
        rewritten = rewrite_elf(data, gate_va=int(gate_va, 0), name=name)
    except KernletError as error:
        print(error, file=sys.stderr)
        return 1
    changed = rewritten.data != data
    if changed:
        Path(result).write_bytes(rewritten.data)
    counts = Counter(str(site.status) for site in rewritten.sites)
    print(json.dumps({"counts": counts, "changed": changed, "problem": ""}))
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:5]))
