# SPDX-License-Identifier: Apache-2.0
"""Decodes all code of a file once and notes what in it refers to what.

Functions that .eh_frame or a sized symbol names are decoded from end to end; everything else is followed from where
something leads. A branch, a switch table or a pointer into the middle of what was decoded so far is decoded again from
there, so that data between code hides nothing: every instruction that control flow known here can reach is seen.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from iced_x86 import Code, Decoder, FlowControl, Instruction, Mnemonic, OpKind

from kernlet.build.analysis._view import ElfView, Region

__all__ = ["Reference", "Sweep", "falls_through", "runs_on"]

_TABLE_MAX = 65536
_NEAR = frozenset((OpKind.NEAR_BRANCH64, OpKind.NEAR_BRANCH32, OpKind.NEAR_BRANCH16))
_STOPS = frozenset(
    (
        FlowControl.UNCONDITIONAL_BRANCH,
        FlowControl.INDIRECT_BRANCH,
        FlowControl.RETURN,
        FlowControl.EXCEPTION,
    )
)
_LINUX_32BIT = 0x80
_DECODER_MAX = 15


def falls_through(instruction: Instruction) -> bool:
    """Whether execution can go on behind this instruction (calls are taken to return, `hlt` is a fault)."""
    return instruction.flow_control not in _STOPS and instruction.mnemonic != Mnemonic.HLT


def runs_on(instruction: Instruction) -> bool:
    """Whether execution goes on behind this last instruction of a function: not behind a call, which won't return."""
    flow = instruction.flow_control
    call = flow in (FlowControl.CALL, FlowControl.INDIRECT_CALL)
    return falls_through(instruction) and (
        not call or instruction.mnemonic in (Mnemonic.SYSCALL, Mnemonic.SYSENTER)
    )


@dataclass(frozen=True, slots=True)
class Reference:
    """An instruction at ``at`` that names ``target``: its address (``taken``), or only what is stored there."""

    at: int
    target: int
    taken: bool


@dataclass(slots=True)
class _CodeRegion:
    region: Region
    marks: bytearray
    decoder: Decoder


@dataclass(slots=True)
class Sweep:
    """All that was decoded.

    ``pieces`` are the ranges of known functions, sorted, without overlap. ``jumps`` and ``calls`` are pairs of place
    and target; ``tables`` maps the address of a switch table to its entries; ``sites`` are `syscall` instructions,
    ``legacy_sites`` 32-bit ones (`int 0x80`, `sysenter`); ``indirect`` are jumps whose target is in a register.
    """

    view: ElfView
    pieces: list[tuple[int, int]] = field(default_factory=list)
    jumps: list[tuple[int, int]] = field(default_factory=list)
    calls: list[tuple[int, int]] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    tables: dict[int, tuple[int, ...]] = field(default_factory=dict)
    sites: list[int] = field(default_factory=list)
    legacy_sites: list[int] = field(default_factory=list)
    indirect: list[int] = field(default_factory=list)
    _code: list[_CodeRegion] = field(default_factory=list)
    _piece_starts: list[int] = field(default_factory=list)
    _run_ons: set[int] = field(default_factory=set)
    _exits: list[int] = field(default_factory=list)
    _dead_ends: set[int] = field(default_factory=set)
    _bases: set[int] = field(default_factory=set)
    _low: int = 0
    _high: int = 0

    @classmethod
    def of(cls, view: ElfView) -> Sweep:
        """Decode ``view``."""
        sweep = cls(view)
        for region in view.regions:
            if region.executable:
                decoder = Decoder(64, region.data, ip=region.start)
                sweep._code.append(_CodeRegion(region, bytearray(len(region.data)), decoder))
        sweep._low, sweep._high = view.elf.loads[0].vaddr, view.elf.loads[-1].end
        sweep._find_pieces()
        for low, high in sweep.pieces:
            sweep._decode_piece(low, high)
        sweep._follow_the_rest()
        sweep._find_dead_ends()
        return sweep

    def comes_back(self, instruction: Instruction) -> bool:
        """Whether what ``instruction`` calls, if it is a direct call, may ever return."""
        return (
            instruction.flow_control != FlowControl.CALL
            or not instruction.op_count
            or instruction.op0_kind not in _NEAR
            or instruction.near_branch_target not in self._dead_ends
        )

    def is_instruction(self, address: int) -> bool:
        """Whether an instruction that starts at ``address`` was decoded."""
        code = self._code_at(address)
        return code is not None and code.marks[address - code.region.start] == 1

    def piece_at(self, address: int) -> tuple[int, int] | None:
        """Return the range of the known function around ``address``."""
        at = bisect_right(self._piece_starts, address)
        if at and address < self.pieces[at - 1][1]:
            return self.pieces[at - 1]
        return None

    def instructions(self, low: int, high: int) -> Iterator[int]:
        """Yield the address of each decoded instruction in [low, high)."""
        code = self._code_at(low)
        if code is None:
            return
        base = code.region.start
        at = code.marks.find(1, low - base, high - base)
        while at >= 0:
            yield base + at
            at = code.marks.find(1, at + 1, high - base)

    def decode(self, address: int) -> Instruction | None:
        """Decode the instruction at ``address``; None where there is no valid one."""
        code = self._code_at(address)
        if code is None:
            return None
        code.decoder.position = address - code.region.start
        code.decoder.ip = address
        instruction = code.decoder.decode()
        return None if instruction.is_invalid else instruction

    def previous(self, address: int) -> Instruction | None:
        """Return the decoded instruction that ends at ``address``."""
        code = self._code_at(address - 1)
        if code is None:
            return None
        base = code.region.start
        stop = address - base
        while True:
            at = code.marks.rfind(1, max(0, address - base - _DECODER_MAX), stop)
            if at < 0:
                return None
            instruction = self.decode(base + at)
            if instruction is not None and instruction.next_ip == address:
                return instruction
            stop = at

    def _code_at(self, address: int) -> _CodeRegion | None:
        for code in self._code:
            if code.region.start <= address < code.region.end:
                return code
        return None

    def _find_pieces(self) -> None:
        """Take what .eh_frame says; symbols with a size fill the rest."""
        ranges = sorted({(f.start, f.end) for f in self.view.frames})
        pieces: list[tuple[int, int]] = []
        for low, high in ranges:
            code = self._code_at(low)
            if code is None or high > code.region.end or (pieces and low < pieces[-1][1]):
                continue
            pieces.append((low, high))
        starts = [low for low, _ in pieces]
        added = []
        for function in self.view.functions:
            low, high = function.start, function.start + function.size
            at = bisect_right(starts, low)
            inside = at and low < pieces[at - 1][1]
            crosses = at < len(pieces) and high > pieces[at][0]
            code = self._code_at(low)
            if function.size and not inside and not crosses and code and high <= code.region.end:
                added.append((low, high))
        for low, high in sorted(added):
            if pieces and low < pieces[-1][1] and low >= pieces[-1][0]:
                continue
            pieces.append((low, high))
        self.pieces = []
        for low, high in sorted(pieces):
            if not self.pieces or low >= self.pieces[-1][1]:
                self.pieces.append((low, high))
        self._piece_starts = [low for low, _ in self.pieces]

    def _decode_piece(self, low: int, high: int) -> None:
        code = self._code_at(low)
        assert code is not None
        base, marks, decoder = code.region.start, code.marks, code.decoder
        decoder.position = low - base
        decoder.ip = low
        instruction = Instruction()
        decode = decoder.decode_out
        absolute = self.view.absolute
        first, jumps = len(self.references), len(self.indirect)
        at = low
        while at < high:
            decode(instruction)
            flow = instruction.flow_control
            if flow == FlowControl.EXCEPTION and instruction.code == Code.INVALID:
                at += 1
                decoder.position = at - base
                decoder.ip = at
                continue
            marks[at - base] = 1
            if flow:
                self._note_flow(instruction, at, flow)
            if instruction.is_ip_rel_memory_operand:
                self._note_reference(instruction, at)
            if absolute:
                self._note_numbers(instruction, at)
            at = instruction.next_ip
        if runs_on(instruction):
            self._run_ons.add(at)
        if len(self.indirect) > jumps:
            self._bases.update(r.target for r in self.references[first:] if r.taken)

    def _note_flow(self, instruction: Instruction, at: int, flow: int) -> None:
        if flow == FlowControl.CALL and instruction.mnemonic == Mnemonic.SYSCALL:
            self.sites.append(at)
        elif instruction.op_count and instruction.op0_kind in _NEAR:
            target = instruction.near_branch_target
            (self.calls if flow == FlowControl.CALL else self.jumps).append((at, target))
        elif flow == FlowControl.INDIRECT_BRANCH:
            if instruction.is_ip_rel_memory_operand:
                self._exits.append(at)
            else:
                self.indirect.append(at)
        elif flow == FlowControl.RETURN:
            self._exits.append(at)
        elif (
            instruction.mnemonic == Mnemonic.INT and instruction.immediate(0) == _LINUX_32BIT
        ) or instruction.mnemonic == Mnemonic.SYSENTER:
            self.legacy_sites.append(at)

    def _note_reference(self, instruction: Instruction, at: int) -> None:
        target = instruction.ip_rel_memory_address
        if self._low <= target < self._high:
            taken = instruction.mnemonic == Mnemonic.LEA
            self.references.append(Reference(at, target, taken))

    def _note_numbers(self, instruction: Instruction, at: int) -> None:
        """Take whatever may be an immediate or an absolute displacement in the range of the file for an address."""
        size = instruction.len
        if size < 5 or instruction.is_ip_rel_memory_operand:
            return
        if instruction.op_count and instruction.op0_kind in _NEAR:
            return
        raw = self.view.elf.read(at, size)
        if raw is None:
            return
        for back in (4, 5, 6, 8):
            if back < size:
                target = int.from_bytes(raw[size - back : size - back + 4], "little")
                if self._low <= target < self._high:
                    self.references.append(Reference(at, target, True))

    def _follow_the_rest(self) -> None:
        """Decode from every address that something leads to and where no instruction was seen to start."""
        view = self.view
        seeds: set[int] = {view.elf.entry, *view.initialisers, *view.pointers.values()}
        seeds |= {symbol.value for symbol in view.symbols if symbol.defined and not symbol.tls}
        seeds |= {function.start for function in view.functions}
        seeds |= {pad for frame in view.frames for pad in frame.landing_pads}
        seeds |= self._run_ons
        seen = [0, 0, 0]
        tables_read: set[int] = set()
        while seeds:
            self._follow(seeds, seen)
            new = self._bases - tables_read
            tables_read |= new
            self._read_tables(new)
            seeds = {entry for base in new for entry in self.tables.get(base, ())}
        # What was found since then may end some of the tables earlier.
        self.tables.clear()
        self._read_tables(self._bases)

    def _follow(self, seeds: set[int], seen: list[int]) -> None:
        """Decode from ``seeds`` and from all that is found on the way; ``seen`` counts what was looked at before."""
        jumps, calls, references = self.jumps, self.calls, self.references
        work = list(seeds)
        while True:
            work += [target for _, target in jumps[seen[0] :]]
            work += [target for _, target in calls[seen[1] :]]
            work += [r.target for r in references[seen[2] :] if r.taken]
            seen[:] = len(jumps), len(calls), len(references)
            if not work:
                return
            while work:
                address = work.pop()
                if self._undecoded(address):
                    self._decode_run(address)

    def _find_dead_ends(self) -> None:
        """Find the functions that have no way out: no return, no jump elsewhere but to others of their kind."""
        leaving: dict[tuple[int, int], set[tuple[int, int]]] = {}
        returning = {self.piece_at(at) for at in (*self._exits, *self.indirect)}
        returning |= {self.piece_at(at - 1) for at in self._run_ons}
        for at, target in self.jumps:
            source, destination = self.piece_at(at), self.piece_at(target)
            if source is None or source == destination:
                continue
            if destination is None:
                returning.add(source)
            else:
                leaving.setdefault(destination, set()).add(source)
        work = [piece for piece in returning if piece is not None]
        while work:
            for source in leaving.get(work.pop(), ()):
                if source not in returning:
                    returning.add(source)
                    work.append(source)
        self._dead_ends = {piece[0] for piece in self.pieces if piece not in returning}

    def _undecoded(self, address: int) -> bool:
        code = self._code_at(address)
        return code is not None and not code.marks[address - code.region.start]

    def _decode_run(self, start: int) -> None:
        """Decode from ``start`` until the flow ends or joins what is known."""
        code = self._code_at(start)
        if code is None:
            return
        first, jumps = len(self.references), len(self.indirect)
        base, end = code.region.start, code.region.end
        at = start
        while at < end and not code.marks[at - base]:
            instruction = self.decode(at)
            if instruction is None:
                break
            code.marks[at - base] = 1
            flow = instruction.flow_control
            if flow:
                self._note_flow(instruction, at, flow)
            if instruction.is_ip_rel_memory_operand:
                self._note_reference(instruction, at)
            if self.view.absolute:
                self._note_numbers(instruction, at)
            if not falls_through(instruction):
                break
            at = instruction.next_ip
        if len(self.indirect) > jumps or self.piece_at(start) is None:
            self._bases.update(r.target for r in self.references[first:] if r.taken)

    def _read_tables(self, bases: Iterable[int]) -> None:
        """Read the switch tables. One ends, at the latest, where the next thing begins that code refers to."""
        known = sorted({r.target for r in self.references})
        for base in sorted(base for base in bases if not self.view.in_code(base)):
            at = bisect_right(known, base)
            end = known[at] if at < len(known) else base + 4 * _TABLE_MAX
            entries = self._table(base, end)
            if entries:
                self.tables[base] = entries

    def _table(self, base: int, end: int) -> tuple[int, ...]:
        """Read a switch table as compilers emit it: 4-byte signed offsets from its own start into code."""
        region = self.view.region_at(base)
        if region is None:
            return ()
        found: list[int] = []
        at = base - region.start
        stop = min(end, region.end) - region.start
        while at + 4 <= stop:
            entry = base + int.from_bytes(region.data[at : at + 4], "little", signed=True)
            if not self.view.in_code(entry):
                break
            found.append(entry)
            at += 4
        return tuple(found)
