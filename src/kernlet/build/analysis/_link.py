# SPDX-License-Identifier: Apache-2.0
"""What of a set of files can run, once the loader has put them together, and how control gets there."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kernlet.build.analysis._operations import IMPORTS
from kernlet.build.analysis._summary import SYSCALL, Call, Export, Formula, Summary, Values
from kernlet.build.analysis._values import apply

__all__ = ["File", "Linked", "Place", "Reached", "SystemCall", "Unknown", "link"]

_IMPORT_REGISTERS = (7, 6, 2, 1, 8)
_LATE = ("loaded", "plug-in")
_DEPTH_MAX = 4
_CALLS_MAX = 200_000
_LOADED_BY_LIBC = re.compile(r"(?:.*/gconv/.*|.*/libnss_[^/]+)\.so(?:\.[0-9]+)*\Z")


@dataclass(frozen=True, slots=True)
class File:
    """One ELF file: its path for people, and what is known of it.

    ``role`` is "program", "interpreter", "needed", "plug-in" (surely loaded at run time), or "loaded" (by its name at
    run time, if at all).
    """

    path: str
    summary: Summary
    role: str


class Place(NamedTuple):
    """An address in a file (index in the list of files)."""

    file: int
    address: int


@dataclass(frozen=True, slots=True)
class SystemCall:
    """A system call that can happen: numbers (None: any), arguments, and where.

    ``holder`` is the node from which on the way to ``site`` is known: ``via`` are the calls on it.
    """

    numbers: tuple[int, ...] | None
    arguments: tuple[tuple[int, ...] | None, ...]
    holder: tuple[int, int]
    via: tuple[Place, ...]
    site: Place


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that can't be decided. ``what`` is "number" or "legacy" (a 32-bit system call)."""

    what: str
    holder: tuple[int, int]
    site: Place
    detail: str = ""


@dataclass(slots=True)
class Reached:
    """How control got to a node: from which one, and how ("calls", "refers to", "imports NAME", ...)."""

    before: tuple[int, int] | None
    how: str


@dataclass(slots=True)
class Linked:
    """The outcome. ``reached`` maps (file, node) to how it was reached; ``loaded`` are the files that count."""

    files: Sequence[File]
    reached: dict[tuple[int, int], Reached] = field(default_factory=dict)
    calls: list[SystemCall] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    strings: dict[str, tuple[int, int]] = field(default_factory=dict)
    loaded: set[int] = field(default_factory=set)
    wanted: dict[int, set[str]] = field(default_factory=dict)
    """Imports whose arguments have to be looked at as well, by file: then all has to be linked once more."""


def link(files: Sequence[File]) -> Linked:
    """Find all that can run; ``files[0]`` is the program. Order is that of the loader's search for symbols."""
    linker = _Linker(files)
    linker.run()
    return linker.result


_Node = tuple[int, int]


class _Linker:
    def __init__(self, files: Sequence[File]) -> None:
        self.result = Linked(files)
        self._files = files
        self._exports: dict[str, list[tuple[int, Export]]] = defaultdict(list)
        for index, file in enumerate(files):
            for export in file.summary.exports:
                self._exports[export.name].append((index, export))
        self._queue: deque[_Node] = deque()
        self._object_queue: deque[tuple[_Node, _Node, str]] = deque()
        self._objects: set[_Node] = set()
        self._taken: dict[_Node, _Node] = {}
        self._resolved: dict[_Node, list[tuple[int, Export]]] = {}
        self._calls = [_by(file.summary.calls, lambda c: c.holder) for file in files]
        self._formulas = [_by(file.summary.formulas, lambda f: f.entry) for file in files]
        self._strings = [_texts(file.summary.strings) for file in files]
        self._object_strings = [_texts(file.summary.object_strings) for file in files]
        self._dlopen_anything: _Node | None = None
        self._looked_up: set[int] = set()
        self._dlsym_anything: dict[int, _Node] = {}
        self._imported_by: dict[_Node, list[tuple[int, str, _Node]]] = defaultdict(list)

    # --- reaching ---

    def run(self) -> None:
        """Follow everything from where the kernel starts the program."""
        for index, file in enumerate(self._files):
            if file.role != "loaded":
                self._load(index)
        self._drain()
        while self._load_by_name() or self._look_up_by_name():
            self._drain()
        self._collect()

    def _load(self, index: int) -> None:
        """Take in what the loader itself does with a file; of a plug-in, anything may be looked up."""
        self.result.loaded.add(index)
        file = self._files[index]
        if file.role == "plug-in":
            for export in file.summary.exports:
                if export.code:
                    self._reach((index, export.place), None, "may be looked up", taken=True)
        if file.role in ("program", "interpreter"):
            self._reach((index, file.summary.entry), None, "is started", taken=True)
        for node in file.summary.starters:
            self._reach((index, node), None, "is run when it is loaded", taken=True)

    def _reach(self, node: _Node, before: _Node | None, how: str, *, taken: bool) -> None:
        if node[1] < 0:
            return
        if taken:
            self._taken.setdefault(node, before or node)
        if node not in self.result.reached:
            self.result.reached[node] = Reached(before, how)
            self._queue.append(node)

    def _drain(self) -> None:
        """Breadth first, so that every way found is a shortest one."""
        while self._queue or self._object_queue:
            while self._queue:
                self._expand(self._queue.popleft())
            while self._object_queue:
                self._expand_object(*self._object_queue.popleft())

    def _expand(self, node: _Node) -> None:
        index, number = node
        links = self._files[index].summary.nodes[number]
        for target in links.nodes:
            self._reach((index, target), node, "calls", taken=False)
        for target in links.taken:
            self._reach((index, target), node, "refers to", taken=True)
        for target in links.imports:
            self._import((index, target), node, taken=False)
        for target in links.objects:
            self._reach_object((index, target), node, "data")
        for text in self._strings[index].get(number, ()):
            self.result.strings.setdefault(text, node)
        for call in self._calls[index].get(number, ()):
            if call.kind != SYSCALL:
                self._note_import_call(index, call, node)

    def _reach_object(self, item: _Node, node: _Node, how: str) -> None:
        if item[1] >= 0 and item not in self._objects:
            self._objects.add(item)
            self._object_queue.append((item, node, how))

    def _expand_object(self, item: _Node, node: _Node, how: str) -> None:
        index, number = item
        links = self._files[index].summary.objects[number]
        for target in (*links.nodes, *links.taken):
            self._reach((index, target), node, f"refers through {how} to", taken=True)
        for target in links.imports:
            self._import((index, target), node, taken=True)
        for target in links.objects:
            self._reach_object((index, target), node, how)
        for text in self._object_strings[index].get(number, ()):
            self.result.strings.setdefault(text, node)

    def _import(self, item: _Node, node: _Node, *, taken: bool) -> None:
        name = self._files[item[0]].summary.imports[item[1]][0]
        for index, export in self.resolve(item):
            target = (index, export.place)
            if export.code:
                self._reach(target, node, f"calls {name}", taken=taken)
                if self._formulas[index].get(export.place):
                    self._imported_by[target].append((item[0], name, node))
            else:
                self._reach_object(target, node, f"data {name}")

    def resolve(self, item: _Node) -> list[tuple[int, Export]]:
        """Return what an import is bound to: the first definition, for what is loaded later any of them."""
        found = self._resolved.get(item)
        if found is None:
            index, number = item
            name, version = self._files[index].summary.imports[number]
            fitting = [
                (at, export) for at, export in self._exports.get(name, ()) if _fits(export, version)
            ]
            if self._files[index].role not in _LATE:
                early = [pair for pair in fitting if self._files[pair[0]].role not in _LATE]
                fitting = early[:1] or fitting
            found = fitting
            self._resolved[item] = found
        return found

    # --- what is loaded and looked up by name ---

    def _note_import_call(self, index: int, call: Call, node: _Node) -> None:
        name = self._files[index].summary.imports[call.kind][0]
        if name in ("dlopen", "dlmopen"):
            texts = call.values[IMPORTS[name][0]]
            if texts is None:
                self._dlopen_anything = self._dlopen_anything or node
            for text in texts or ():
                self.result.strings.setdefault(str(text), node)
        elif name in ("dlsym", "dlvsym"):
            texts = call.values[IMPORTS[name][0]]
            if texts is None:
                self._dlsym_anything.setdefault(index, node)
            for text in texts or ():
                self._reach_exports(str(text), node)

    def _reach_exports(self, name: str, node: _Node) -> None:
        for index, export in self._exports.get(name, ()):
            self._reach_export(index, export, node)

    def _reach_export(self, index: int, export: Export, node: _Node | None) -> None:
        how = f"looks up {export.name}"
        if export.code:
            self._reach((index, export.place), node, how, taken=True)
        elif node is not None:
            self._reach_object((index, export.place), node, how)

    def _load_by_name(self) -> bool:
        """Load the files that something reached may load; tell whether there was one."""
        names: dict[str, _Node] = {}
        for text, node in self.result.strings.items():
            names.setdefault(posixpath.basename(text), node)
        found = False
        for index, file in enumerate(self._files):
            if index in self.result.loaded:
                continue
            own = {posixpath.basename(file.path), file.summary.soname} - {""}
            by_name = next((names[name] for name in own if name in names), None)
            by = by_name or self._dlopen_anything or self._needed_by(own)
            if by is None and not _LOADED_BY_LIBC.match(file.path):
                continue
            found = True
            self._load(index)
            for export in file.summary.exports:
                self._reach_export(index, export, by)
        return found

    def _needed_by(self, own: set[str]) -> _Node | None:
        """Return the first node of a file loaded by name that needs a library of one of these names."""
        for index in sorted(self.result.loaded):
            if own & set(self._files[index].summary.needed) and self._files[index].role == "loaded":
                return (index, 0)
        return None

    def _look_up_by_name(self) -> bool:
        """Where the name of a symbol isn't known, look up every text of a loaded file that is one."""
        if not self._dlsym_anything:
            return False
        before = len(self.result.reached)
        node = min(self._dlsym_anything.values())
        for index in sorted(self.result.loaded - self._looked_up):
            self._looked_up.add(index)
            for text in self._files[index].summary.texts.split("\n"):
                if text in self._exports:
                    self._reach_exports(text, node)
        return len(self.result.reached) > before

    # --- system calls ---

    def _collect(self) -> None:
        for node in self.result.reached:
            index, number = node
            for call in self._calls[index].get(number, ()):
                self._add(index, call, node, 0)
            for formula in self._formulas[index].get(number, ()):
                if node in self._taken:
                    self._add_taken(index, formula, node)
        for index, file in enumerate(self._files):
            for number, import_number in file.summary.escaped:
                node = (index, number)
                if node in self.result.reached:
                    self._add_escaped(node, (index, import_number))
            for number, address in file.summary.legacy:
                node = (index, number)
                if node in self.result.reached:
                    self.result.unknown.append(Unknown("legacy", node, Place(index, address)))
        for target, users in self._imported_by.items():
            for index, name, node in users:
                self._check_looked_at(target, index, name, node)

    def _add(
        self, index: int, call: Call, node: _Node, depth: int, via: Sequence[Place] = ()
    ) -> None:
        """Add a call with known arguments; through an import, what the imported function makes of them."""
        way = (*(Place(index, address) for address in call.via), *via)
        if call.kind == SYSCALL:
            self._add_syscall(call.values, node, way, Place(index, call.site))
            return
        if depth >= _DEPTH_MAX or len(self.result.calls) > _CALLS_MAX:
            self.result.unknown.append(Unknown("number", node, Place(index, call.site)))
            return
        here = (*way, Place(index, call.site))
        for at, export in self.resolve((index, call.kind)):
            if not export.code:
                continue
            for formula in self._formulas[at].get(export.place, ()):
                values = tuple(_evaluate(value, call.values) for value in formula.values)
                inner = Call(formula.kind, formula.site, -1, formula.via, values)
                self._add(at, inner, node, depth + 1, here)

    def _add_syscall(
        self, values: Values, node: _Node, via: tuple[Place, ...], site: Place
    ) -> None:
        numbers = values[0]
        if numbers is None:
            self.result.unknown.append(Unknown("number", node, site))
            return
        if numbers or any(values[1:]):
            self.result.calls.append(
                SystemCall(
                    _numbers(numbers), tuple(_numbers(x) for x in values[1:]), node, via, site
                )
            )

    def _add_taken(self, index: int, formula: Formula, node: _Node) -> None:
        """Add a call whose function may be called by anybody, with anything."""
        nothing = (None,) * 5
        values = tuple(_evaluate(value, nothing) for value in formula.values)
        call = Call(formula.kind, formula.site, node[1], formula.via, values)
        self._add(index, call, node, 0)

    def _add_escaped(self, node: _Node, item: _Node) -> None:
        for at, export in self.resolve(item):
            for formula in self._formulas[at].get(export.place, ()) if export.code else ():
                self._add_taken(at, formula, node)

    def _check_looked_at(self, target: _Node, index: int, name: str, node: _Node) -> None:
        """Ask for one more look at a file that calls a function whose system calls depend on its arguments."""
        summary = self._files[index].summary
        if name in IMPORTS or name in summary.interest:
            return
        numbers = any(
            formula.kind == SYSCALL and _depends(formula.values[0])
            for formula in self._formulas[target[0]][target[1]]
        )
        if numbers:
            self.result.wanted.setdefault(index, set()).add(name)
        else:
            for formula in self._formulas[target[0]][target[1]]:
                self._add_taken(target[0], formula, node)


def _fits(export: Export, version: str) -> bool:
    if not version:
        return not export.hidden
    return export.version in (version, "")


def _by(items: Iterable[Any], key: Callable[[Any], int]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return found


def _texts(items: Iterable[tuple[int, str]]) -> Mapping[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for number, text in items:
        found[number].append(text)
    return found


def _numbers(value: Iterable[int | str] | None) -> tuple[int, ...] | None:
    return None if value is None else tuple(x for x in value if isinstance(x, int))


def _depends(value: Iterable[Any] | None) -> bool:
    return value is not None and any(not isinstance(part, int) for part in value)


def _evaluate(
    value: Iterable[Any] | None, arguments: Sequence[tuple[int | str, ...] | None]
) -> tuple[int | str, ...] | None:
    """Return what a formula's value is for these arguments; None: anything."""
    if value is None:
        return None
    found: set[int | str] = set()
    for part in value:
        result = _evaluate_one(part, arguments)
        if result is None:
            return None
        found.update(result)
    return tuple(sorted(found, key=str))


def _evaluate_one(
    part: Any, arguments: Sequence[tuple[int | str, ...] | None]
) -> Iterator[int | str] | Sequence[int | str] | None:
    if isinstance(part, int):
        return (part,)
    if part[0] == "reg" and part[1] in _IMPORT_REGISTERS:
        return arguments[_IMPORT_REGISTERS.index(part[1])]
    if part[0] == "op":
        inner = _evaluate_one(part[2], arguments)
        numbers = None if inner is None else frozenset(x for x in inner if isinstance(x, int))
        result = apply(part[1], numbers, frozenset((part[3],)), 4)
        return None if result is None else tuple(x for x in result if isinstance(x, int))
    return None
