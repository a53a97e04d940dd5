# SPDX-License-Identifier: Apache-2.0
"""The analysis of a root file system that is about to become an image: nothing outside of it can be loaded."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping

from kernlet.build.analysis._analyse import Binary, Progress, analyse_binaries
from kernlet.build.analysis._result import Analysis, Step, UnknownCall, merge
from kernlet.build.cache import ContentCache
from kernlet.build.sources import EntryKind, RootfsPlan
from kernlet.elf import ElfError, ElfFile, ElfKind

__all__ = ["analyse_plan"]

_LINKS_MAX = 40
_ELF = b"\x7fELF\x02\x01"
_EXEC = ("execve", "execveat")
_MUSL_OWN = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\.")
"""Libraries for which musl's loader itself stands."""


def analyse_plan(
    plan: RootfsPlan,
    *,
    starts_others: bool = False,
    cache: ContentCache | None = None,
    progress: Progress | None = None,
) -> Analysis | None:
    """Analyse what ``plan`` starts; None if that is no ELF program (a script whose interpreter isn't there).

    ``starts_others``: the library OS can start further programs, so all those in the plan count as soon as something
    reached may start one. Raises a KernletError.
    """
    files = _Files(plan)
    first = files.program(plan.entrypoint[0]) if plan.entrypoint else None
    if first is None:
        return None
    analysis = files.analyse(first, cache, progress)
    if not starts_others or not analysis.names.intersection(_EXEC):
        return analysis
    parts = [analysis]
    for path in files.programs():
        if path != first:
            parts.append(files.analyse(path, cache, progress))
    return merge(analysis.program, parts)


class _Files:
    """The ELF files of a plan, by path and by the names under which loaders look for them."""

    def __init__(self, plan: RootfsPlan) -> None:
        self._links = {
            entry.path: entry.target
            for entry in plan.entries
            if entry.kind is EntryKind.SYMLINK and entry.target
        }
        self._data: dict[str, bytes] = {}
        self._texts: dict[str, bytes] = {}
        self._elves: dict[str, ElfFile] = {}
        for entry in plan.entries:
            if entry.kind is not EntryKind.FILE:
                continue
            data = entry.read()
            if data.startswith(_ELF):
                try:
                    self._elves[entry.path] = ElfFile(data, entry.path)
                    self._data[entry.path] = data
                except ElfError:
                    continue
            elif data.startswith(b"#!"):
                self._texts[entry.path] = data
        self._by_name = self._names()

    def _names(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path, elf in self._elves.items():
            names = {posixpath.basename(path)}
            if elf.dynamic is not None and elf.dynamic.soname:
                names.add(elf.dynamic.soname)
            for name in names:
                found.setdefault(name, []).append(path)
        for link in self._links:
            target = self.follow(link)
            if target in self._elves:
                found.setdefault(posixpath.basename(link), []).append(target)
        return {name: sorted(set(paths)) for name, paths in found.items()}

    def follow(self, path: str) -> str:
        """Return where ``path`` leads inside of the plan."""
        for _ in range(_LINKS_MAX):
            step = self._follow_once(path)
            if step is None:
                break
            path = step
        return path

    def _follow_once(self, path: str) -> str | None:
        parts = [part for part in path.split("/") if part]
        for count in range(1, len(parts) + 1):
            prefix = "/" + "/".join(parts[:count])
            if prefix in self._links:
                target = posixpath.join(posixpath.dirname(prefix), self._links[prefix])
                return posixpath.normpath(posixpath.join(target, *parts[count:]))
        return None

    def program(self, path: str) -> str | None:
        """Return the ELF program that starting ``path`` starts, through the first lines of scripts."""
        for _ in range(4):
            path = self.follow(path)
            if path in self._elves:
                return path
            line = self._texts.get(path, b"").split(b"\n", 1)[0][2:].split()
            if not line:
                return None
            path = line[0].decode("utf-8", "surrogateescape")
        return None

    def programs(self) -> list[str]:
        """Return the paths of all programs, sorted."""
        return sorted(path for path, elf in self._elves.items() if elf.kind is not ElfKind.LIBRARY)

    def analyse(
        self, program: str, cache: ContentCache | None, progress: Progress | None
    ) -> Analysis:
        """Analyse one program; what it needs and the plan doesn't have can do anything."""
        binaries = self.closure(program)
        analysis = analyse_binaries(binaries, cache=cache, progress=progress)
        missing = self._missing(binaries)
        unknown = tuple(
            UnknownCall(f"{name} is not in the image", (Step(path, "", 0, "needs it"),))
            for path, name in missing
        )
        return analysis._replace(unknown=analysis.unknown + unknown)

    def _missing(self, binaries: Iterable[Binary]) -> list[tuple[str, str]]:
        """Return (who, what) for each interpreter and library that is needed and not there."""
        found = []
        loader = ""
        for binary in binaries:
            elf = self._elves[binary.path]
            if binary.role == "program" and elf.interpreter:
                loader = posixpath.basename(elf.interpreter)
                if self.follow(elf.interpreter) not in self._elves:
                    found.append((binary.path, elf.interpreter))
            if binary.role == "loaded" or elf.dynamic is None:
                continue
            for name in elf.dynamic.needed:
                own = name == loader or (loader.startswith("ld-musl") and _MUSL_OWN.match(name))
                if not own and posixpath.basename(name) not in self._by_name:
                    found.append((binary.path, name))
        return found

    def closure(self, program: str) -> list[Binary]:
        """Return ``program`` and all libraries: those that it needs, its interpreter, and those that it might load."""
        interpreter = self._elves[program].interpreter
        loader = self.follow(interpreter) if interpreter else None
        roles = {program: "program"}
        work = [program]
        while work:
            for path in self._needed(work.pop(0)):
                if path not in roles and path != loader:
                    roles[path] = "needed"
                    work.append(path)
        if loader is None:
            return [self._binary(program, "program")]
        for path, elf in sorted(self._elves.items()):
            if path not in roles and path != loader and elf.kind is ElfKind.LIBRARY:
                roles[path] = "loaded"
        order = sorted(roles, key=lambda path: roles[path] == "loaded")
        binaries = [self._binary(path, roles[path]) for path in order]
        if loader in self._elves:
            binaries.append(self._binary(loader, "interpreter"))
        return binaries

    def _needed(self, path: str) -> Iterable[str]:
        dynamic = self._elves[path].dynamic
        for name in dynamic.needed if dynamic is not None else ():
            yield from self._by_name.get(posixpath.basename(name), ())

    def _binary(self, path: str, role: str) -> Binary:
        return Binary(path, role, self._data[path])
