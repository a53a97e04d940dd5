# SPDX-License-Identifier: Apache-2.0
"""All that the analysis of several files needs to know of one: plain data, kept by the hash of the file.

Indices: a *node* is a piece of code, an *object* a piece of data with pointers, an *import* a name from elsewhere.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from kernlet.build.analysis._graph import Edges, Graph
    from kernlet.build.analysis._sites import Resolver
    from kernlet.build.analysis._view import ElfView

__all__ = [
    "SYSCALL",
    "Call",
    "Export",
    "Formula",
    "Links",
    "Summary",
    "analyser_identity",
    "from_bytes",
    "summarise",
    "to_bytes",
]

SYSCALL = -1
"""The kind of a Call that is a system call; others are indices of imports."""

_INTERESTING = re.compile(r"/(?:proc|sys|dev)(?:/|\Z)|.*\.so(?:\.[0-9]+)*\Z")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
_NAMED_ARGUMENTS = frozenset(("dlopen", "dlmopen", "dlsym", "dlvsym"))

Values = tuple[tuple[int | str, ...] | None, ...]


class Links(NamedTuple):
    """Where a node or an object leads: nodes, nodes whose address it takes, objects, imports."""

    nodes: tuple[int, ...]
    taken: tuple[int, ...]
    objects: tuple[int, ...]
    imports: tuple[int, ...]


class Export(NamedTuple):
    """A name for others. ``place`` is a node, or an object if not ``code``; -1: nothing that matters."""

    name: str
    version: str
    hidden: bool
    code: bool
    place: int


class Call(NamedTuple):
    """A system call (number, four arguments) or a call of an import (five arguments) that node ``holder`` makes.

    ``via``: addresses of the calls between ``holder`` and ``site``. A value None can be anything; an empty one is
    for the callers to say. Names are texts.
    """

    kind: int
    site: int
    holder: int
    via: tuple[int, ...]
    values: Values


class Formula(NamedTuple):
    """A call that depends on what other files pass to the function at node ``entry``.

    Its values consist of numbers and of lists: ["reg", register], ["op", operation, formula, number], ["other"].
    """

    kind: int
    site: int
    entry: int
    via: tuple[int, ...]
    values: tuple[tuple[Any, ...] | None, ...]


class Summary(NamedTuple):
    """One file. ``entry`` is the node of the first instruction, -1 without one; ``starters`` are run by the loader."""

    soname: str
    needed: tuple[str, ...]
    interpreter: str
    entry: int
    starters: tuple[int, ...]
    starts: tuple[int, ...]
    names: tuple[str, ...]
    nodes: tuple[Links, ...]
    objects: tuple[Links, ...]
    imports: tuple[tuple[str, str], ...]
    exports: tuple[Export, ...]
    calls: tuple[Call, ...]
    formulas: tuple[Formula, ...]
    escaped: tuple[tuple[int, int], ...]
    """Nodes that take the address of an import of interest, and which."""
    legacy: tuple[tuple[int, int], ...]
    """Nodes with 32-bit system calls, and where."""
    strings: tuple[tuple[int, str], ...]
    """Nodes that refer to a text of interest: a path below /proc, /sys or /dev, or the name of a library."""
    object_strings: tuple[tuple[int, str], ...]
    texts: str
    """All texts that code or data refers to and that may be names of symbols, a line each."""
    interest: tuple[str, ...]
    """Imports whose arguments were looked at, besides those that always are."""


def summarise(data: bytes, name: str = "file", interest: Iterable[str] = ()) -> Summary:
    """Analyse the ELF file ``data``. ``interest`` names further imports whose arguments matter. Raises ElfError."""
    from kernlet.build.analysis._graph import Graph
    from kernlet.build.analysis._operations import IMPORTS
    from kernlet.build.analysis._sites import Resolver
    from kernlet.build.analysis._sweep import Sweep
    from kernlet.build.analysis._view import ElfView
    from kernlet.elf import ElfFile

    view = ElfView.of(ElfFile(data, name))
    graph = Graph.of(view, Sweep.of(view))
    extra = tuple(sorted(set(interest) - IMPORTS.keys()))
    resolver = Resolver(graph, interest=frozenset((*IMPORTS, *extra)))
    resolver.run()
    return _Writer(view, graph, resolver).write(extra)


class _Writer:
    """Turns the graph of one file into plain data."""

    def __init__(self, view: ElfView, graph: Graph, resolver: Resolver) -> None:
        from kernlet.build.analysis._view import Names

        self._view = view
        self._graph = graph
        self._resolver = resolver
        self._names = Names(view)
        self._imports: dict[int, int] = {}

    def write(self, interest: tuple[str, ...]) -> Summary:
        view, graph, resolver = self._view, self._graph, self._resolver
        dynamic = view.elf.dynamic
        exports = self._exports()
        nodes = tuple(self._links(edges) for edges in graph.nodes)
        objects = tuple(self._links(edges) for edges in graph.objects)
        calls = tuple(self._call(found) for found in resolver.found)
        formulas = tuple(self._formula(item) for item in resolver.open)
        escaped = tuple((self._node(at), self._import(symbol)) for at, symbol in resolver.escaped)
        return Summary(
            soname=(dynamic.soname if dynamic else None) or "",
            needed=dynamic.needed if dynamic else (),
            interpreter=view.elf.interpreter or "",
            entry=self._node(view.elf.entry),
            starters=tuple(
                sorted({self._node(a) for a in (*view.initialisers, *view.resolvers)} - {-1})
            ),
            starts=tuple(graph.starts),
            names=tuple(self._names.of(start, start) for start in graph.starts),
            nodes=nodes,
            objects=objects,
            imports=tuple(
                (view.symbols[symbol].name, view.symbols[symbol].version)
                for symbol in self._imports
            ),
            exports=exports,
            calls=calls,
            formulas=formulas,
            escaped=escaped,
            legacy=tuple((self._node(at), at) for at in graph.sweep.legacy_sites),
            strings=self._strings(),
            object_strings=self._object_strings(),
            texts="\n".join(self._texts()),
            interest=interest,
        )

    def _node(self, address: int) -> int:
        node = self._graph.node_at(address) if address else None
        return -1 if node is None else node

    def _import(self, symbol: int) -> int:
        return self._imports.setdefault(symbol, len(self._imports))

    def _links(self, edges: Edges) -> Links:
        symbols = self._view.symbols
        imports = sorted(s for s in edges.imports if symbols[s].name and not symbols[s].tls)
        return Links(
            tuple(sorted(edges.nodes)),
            tuple(sorted(edges.taken)),
            tuple(sorted(edges.objects)),
            tuple(self._import(symbol) for symbol in imports),
        )

    def _exports(self) -> tuple[Export, ...]:
        found = []
        for symbol in self._view.symbols:
            if not symbol.defined or not symbol.name or symbol.tls:
                continue
            code = self._view.in_code(symbol.value)
            place = (
                self._node(symbol.value) if code else self._graph.object_for(symbol.value, False)
            )
            found.append(
                Export(
                    symbol.name, symbol.version, symbol.hidden, code, -1 if place is None else place
                )
            )
        return tuple(found)

    def _call(self, found: Any) -> Call:
        kind, named = found.kind, False
        if kind != SYSCALL:
            named = self._view.symbols[kind].name in _NAMED_ARGUMENTS
            kind = self._import(kind)
        values: list[tuple[int | str, ...] | None] = []
        for value in found.values:
            if value is None:
                values.append(None)
            elif named:
                texts = [self._view.string(address) for address in sorted(value)]
                known = [text for text in texts if text is not None]
                values.append(tuple(known) if len(known) == len(texts) else None)
            else:
                values.append(tuple(sorted(value)))
        return Call(kind, found.site, self._node(found.holder), found.via, tuple(values))

    def _formula(self, item: Any) -> Formula:
        kind = item.kind if item.kind == SYSCALL else self._import(item.kind)
        values = tuple(
            None if value is None else tuple(sorted((_plain(atom) for atom in value), key=repr))
            for value in item.values
        )
        return Formula(kind, item.site, self._node(item.entry), item.via, values)

    def _strings(self) -> tuple[tuple[int, str], ...]:
        found = set()
        for reference in self._graph.sweep.references:
            if reference.taken:
                text = self._interesting(reference.target)
                if text is not None:
                    found.add((self._node(reference.at), text))
            elif reference.target in self._view.pointers:
                text = self._interesting(self._view.pointers[reference.target])
                if text is not None:
                    found.add((self._node(reference.at), text))
        return tuple(sorted(found))

    def _texts(self) -> list[str]:
        view = self._view
        places = {r.target for r in self._graph.sweep.references if r.taken}
        places.update(view.pointers.values())
        found = {view.string(place) for place in places if not view.in_code(place)}
        return sorted(text for text in found if text is not None and _NAME.match(text))

    def _interesting(self, address: int) -> str | None:
        text = self._view.string(address)
        return text if text is not None and _INTERESTING.match(text) else None

    def _object_strings(self) -> tuple[tuple[int, str], ...]:
        found = set()
        pointers = sorted(self._view.pointers)
        for index, (low, high) in enumerate(self._graph.ranges):
            for place in self._graph.cells_in(pointers, low, high):
                text = self._interesting(self._view.pointers[place])
                if text is not None:
                    found.add((index, text))
        return tuple(sorted(found))


def _plain(atom: Any) -> Any:
    if isinstance(atom, int):
        return atom & 0xFFFFFFFF
    if atom[0] == "reg":
        return ["reg", atom[2]]
    if atom[0] == "op":
        return ["op", atom[1], _plain(atom[2]), atom[3]]
    return ["other"]


def to_bytes(summary: Summary) -> bytes:
    """Return a compact form of ``summary``."""
    return zlib.compress(json.dumps(summary, separators=(",", ":")).encode(), 1)


def from_bytes(raw: bytes) -> Summary:
    """Return what to_bytes() was given; ValueError or TypeError if it isn't that."""
    table = json.loads(zlib.decompress(raw))
    summary = Summary(*table)
    return summary._replace(
        nodes=tuple(Links(*item) for item in summary.nodes),
        objects=tuple(Links(*item) for item in summary.objects),
        exports=tuple(Export(*item) for item in summary.exports),
        calls=tuple(Call(*item) for item in summary.calls),
        formulas=tuple(Formula(*item) for item in summary.formulas),
    )


@functools.cache
def analyser_identity() -> str:
    """Return a hash of the analyser's own sources: a change of it must not find old results."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for folder in (package, package.parents[1] / "elf"):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
