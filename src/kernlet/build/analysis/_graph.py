# SPDX-License-Identifier: Apache-2.0
"""What in a file leads to what: pieces of code (nodes), pieces of data with pointers (objects), imports.

A node starts where something leads from outside; soundness doesn't depend on nodes being functions, only precision.
An object is what a reference to an address in data may reach: a symbol's range where a symbol says it. In stripped data
it goes from the nearest place behind which compilers put larger objects (a multiple of 32 that code or data names) to
the next such place, but never ends within 64 bytes: references to the middle, or to slightly before the start, count.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from iced_x86 import MemorySizeExt

from kernlet.build.analysis._sweep import Sweep, falls_through, runs_on
from kernlet.build.analysis._view import ElfView
from kernlet.elf.constants import PT_DYNAMIC, PT_LOAD

__all__ = ["Edges", "Graph"]

_ALIGNED = 32
_REACH_MIN = 64
_VECTOR_MAX = 64
_PT_GNU_RELRO = 0x6474E552


@dataclass(slots=True)
class Edges:
    """Where one node or object leads: indices of nodes, of nodes whose address it takes, of objects, of symbols."""

    nodes: set[int] = field(default_factory=set)
    taken: set[int] = field(default_factory=set)
    objects: set[int] = field(default_factory=set)
    imports: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Graph:
    """The graph of one file. ``ranges`` are the objects' addresses; ``nodes`` and ``objects`` their edges."""

    view: ElfView
    sweep: Sweep
    starts: list[int] = field(default_factory=list)
    nodes: list[Edges] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    objects: list[Edges] = field(default_factory=list)
    run_into: dict[int, int] = field(default_factory=dict)
    """Last instructions of functions that run on into what follows, and where that starts."""
    _functions: list[int] = field(default_factory=list)
    _cells: list[int] = field(default_factory=list)
    _cuts: list[int] = field(default_factory=list)
    _symbol_starts: list[int] = field(default_factory=list)
    _object_ids: dict[tuple[int, int], int] = field(default_factory=dict)

    @classmethod
    def of(cls, view: ElfView, sweep: Sweep) -> Graph:
        """Build the graph of what ``sweep`` decoded."""
        graph = cls(view, sweep)
        graph._cells = sorted({*view.pointers, *view.imports})
        graph._symbol_starts = [o.start for o in view.objects]
        graph._find_cuts()
        graph._find_starts()
        graph.nodes = [Edges() for _ in graph.starts]
        graph._add_flow()
        graph._add_references()
        graph._fill_objects()
        for index, edges in enumerate(graph.nodes):
            edges.nodes.discard(index)
            edges.taken -= edges.nodes
        return graph

    def node_at(self, address: int) -> int | None:
        """Return the node that holds the code at ``address``, None if there is no code."""
        if not self.view.in_code(address):
            return None
        at = bisect_right(self.starts, address)
        return at - 1 if at else None

    def function_range(self, address: int) -> tuple[int, int]:
        """Return the addresses between which the function around ``address`` lies, as far as is known."""
        piece = self.sweep.piece_at(address)
        if piece is not None:
            return piece
        at = bisect_right(self._functions, address)
        low = self._functions[at - 1] if at else address
        region = self.view.region_at(address)
        end = region.end if region else address + 1
        high = self._functions[at] if at < len(self._functions) else end
        return low, min(high, end)

    def object_for(self, address: int, new: bool = True) -> int | None:
        """Return the object that a reference to the data at ``address`` reaches; None if no pointer is in it.

        ``new``: make it if need be.
        """
        bounds = self._bounds(address)
        if bounds in self._object_ids:
            return self._object_ids[bounds]
        low, high = bounds
        at = bisect_left(self._cells, low)
        if not new or at >= len(self._cells) or self._cells[at] >= high:
            return None
        self._object_ids[bounds] = len(self.ranges)
        self.ranges.append(bounds)
        self.objects.append(Edges())
        return len(self.ranges) - 1

    @staticmethod
    def cells_in(places: list[int], low: int, high: int) -> list[int]:
        """Return those of the sorted ``places`` that lie in [low, high)."""
        return places[bisect_left(places, low) : bisect_left(places, high)]

    def _bounds(self, address: int) -> tuple[int, int]:
        at = bisect_right(self._symbol_starts, address)
        for index in range(at - 1, max(-1, at - 5), -1):
            symbol = self.view.objects[index]
            if symbol.start <= address < symbol.start + symbol.size:
                return symbol.start, symbol.start + symbol.size
        cuts = self._cuts
        at = bisect_right(cuts, address)
        low = cuts[at - 1] if at else address
        at = bisect_left(cuts, address + _REACH_MIN)
        high = cuts[at] if at < len(cuts) else self.view.data_segment_end(address)
        return low, max(high, address + 8)

    def _find_cuts(self) -> None:
        view = self.view
        named = {r.target for r in self.sweep.references if r.taken}
        named.update(view.pointers.values())
        cuts = {address for address in named if address % _ALIGNED == 0}
        for segment in view.elf.segments:
            if segment.type in (PT_LOAD, PT_DYNAMIC, _PT_GNU_RELRO):
                cuts |= {segment.vaddr, segment.end}
        symbols = [o for o in view.objects if not view.in_code(o.start)]
        cuts = {cut for cut in cuts if not self._inside_symbol(cut)}
        cuts |= {o.start for o in symbols} | {o.start + o.size for o in symbols}
        self._cuts = sorted(cuts)

    def _inside_symbol(self, address: int) -> bool:
        at = bisect_right(self._symbol_starts, address)
        if not at:
            return False
        symbol = self.view.objects[at - 1]
        return symbol.start < address < symbol.start + symbol.size

    # --- nodes ---

    def _find_starts(self) -> None:
        view, sweep = self.view, self.sweep
        functions = {low for low, _ in sweep.pieces}
        functions |= {f.start for f in view.functions}
        functions |= {s.value for s in view.symbols if s.defined and not s.tls}
        functions |= {target for _, target in sweep.calls}
        functions |= {r.target for r in sweep.references if r.taken}
        functions |= set(view.pointers.values()) | view.initialisers | {view.elf.entry}
        entries = {entry for entries in sweep.tables.values() for entry in entries}
        code = [r for r in view.regions if r.executable]
        functions = {
            address
            for address in functions
            if any(r.start <= address < r.end for r in code) and sweep.is_instruction(address)
        }
        self._functions = sorted(functions - entries)
        starts = set(functions)
        for at, target in sweep.jumps:
            low, high = self.function_range(at)
            if not low <= target < high and sweep.is_instruction(target):
                starts.add(target)
        for piece in sweep.pieces:
            if sweep.piece_at(piece[1]) is None and sweep.is_instruction(piece[1]):
                starts.add(piece[1])
        self.starts = sorted(starts)

    def _add_flow(self) -> None:
        for at, target in self.sweep.calls:
            self._lead(at, target)
        for at, target in self.sweep.jumps:
            self._lead(at, target)
        named = {f.start for f in self.view.functions}
        for index, start in enumerate(self.starts):
            previous = self.sweep.previous(start)
            if previous is None:
                continue
            piece = self.sweep.piece_at(previous.ip)
            at_end = (piece is not None and start >= piece[1]) or (piece is None and start in named)
            goes_on = runs_on(previous) if at_end else falls_through(previous)
            if goes_on and self.sweep.comes_back(previous):
                node = self.node_at(previous.ip)
                if node is not None:
                    self.nodes[node].nodes.add(index)
                if self.function_range(start)[0] == start:
                    self.run_into[previous.ip] = start
        for at in self.sweep.indirect:
            self._lead_to_range(at, *self.function_range(at))
        for frame in self.view.frames:
            for pad in frame.landing_pads:
                for node in self._nodes_in(frame.start, frame.end):
                    self._lead(self.starts[node], pad)

    def _lead(self, at: int, target: int) -> None:
        source, destination = self.node_at(at), self.node_at(target)
        if source is not None and destination is not None:
            self.nodes[source].nodes.add(destination)

    def _nodes_in(self, low: int, high: int) -> Iterable[int]:
        return range(bisect_left(self.starts, low), bisect_left(self.starts, high))

    def _lead_to_range(self, at: int, low: int, high: int) -> None:
        source = self.node_at(at)
        if source is not None:
            self.nodes[source].nodes.update(self._nodes_in(low, high))

    # --- data ---

    def _add_references(self) -> None:
        tables = self.sweep.tables
        for reference in self.sweep.references:
            source = self.node_at(reference.at)
            if source is None:
                continue
            edges = self.nodes[source]
            target = reference.target
            if reference.taken:
                self._refer(edges, target)
                for entry in tables.get(target, ()):
                    self._lead(reference.at, entry)
            else:
                for cell in self._cells_read(reference.at, target):
                    self._follow_cell(edges, cell)

    def _cells_read(self, at: int, target: int) -> list[int]:
        """Return the places of pointers in what the instruction at ``at`` reads from ``target``."""
        first = bisect_left(self._cells, target - 7)
        cells = self._cells[first : bisect_left(self._cells, target + _VECTOR_MAX)]
        if not cells:
            return []
        if cells[-1] > target:
            instruction = self.sweep.decode(at)
            size = MemorySizeExt.size(instruction.memory_size) if instruction else _VECTOR_MAX
            cells = [cell for cell in cells if cell < target + max(size, 1)]
        return cells

    def _refer(self, edges: Edges, target: int) -> None:
        """Let ``edges`` lead to what has its address at ``target``."""
        if self.view.in_code(target):
            node = self.node_at(target)
            if node is not None:
                edges.taken.add(node)
            if self.sweep.is_instruction(target):
                return
        found = self.object_for(target)
        if found is not None:
            edges.objects.add(found)

    def _follow_cell(self, edges: Edges, cell: int) -> None:
        pointer = self.view.pointers.get(cell)
        if pointer is not None:
            self._refer(edges, pointer)
        imported = self.view.imports.get(cell)
        if imported is not None:
            edges.imports.add(imported[0])

    def _fill_objects(self) -> None:
        """Let each object lead to what its pointers name; that may make new objects, which are filled as well."""
        exported: defaultdict[int, list[int]] = defaultdict(list)
        for index, symbol in enumerate(self.view.symbols):
            if symbol.defined and not symbol.tls and not self.view.in_code(symbol.value):
                exported[symbol.value].append(index)
        for value in sorted(exported):
            self.object_for(value)
        done = 0
        while done < len(self.ranges):
            low, high = self.ranges[done]
            edges = self.objects[done]
            first = bisect_left(self._cells, low)
            last = bisect_left(self._cells, high)
            for cell in self._cells[first:last]:
                if cell not in self.view.slots:
                    self._follow_cell(edges, cell)
            done += 1
