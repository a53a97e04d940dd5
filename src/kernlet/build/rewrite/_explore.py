# SPDX-License-Identifier: Apache-2.0
"""Finding code by following control flow from places that are known to be code.

Starts are trusted: functions that .eh_frame or a symbol names, the entry point, initialisers, and
what direct branches, landing pads, relocations and switch tables reach from there. Only functions
that hold the bytes of a `syscall` are decoded; where such bytes lie in no known function, the
whole program is followed instead.
"""

from __future__ import annotations

import bisect
import re
import struct
from dataclasses import dataclass, field

from iced_x86 import FlowControl, Instruction, Mnemonic, OpKind, Register

from kernlet.build.rewrite._code import Code, falls_through
from kernlet.elf import ElfFile, Frame, Function, read_frames, read_functions, read_relocations
from kernlet.elf.constants import (
    DT_FINI,
    DT_INIT,
    ET_EXEC,
    R_X86_64_IRELATIVE,
    R_X86_64_RELATIVE,
)

__all__ = ["Explorer", "Layout"]

_TABLE_MAX = 65536
_LEA = re.compile(rb"(?=[\x48\x4c]\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d].{4})", re.DOTALL)
_DIRECT = (FlowControl.UNCONDITIONAL_BRANCH, FlowControl.CONDITIONAL_BRANCH)
_NEAR = (OpKind.NEAR_BRANCH64, OpKind.NEAR_BRANCH32, OpKind.NEAR_BRANCH16)


@dataclass(slots=True)
class Layout:
    """What the file itself says about its code, without decoding any."""

    frames: list[Frame] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    pointers: set[int] = field(default_factory=set)
    """Addresses in code that a relocation names."""
    words: set[int] = field(default_factory=set)
    """Words in the data of a program at a fixed address that look like addresses in code."""
    entries: set[int] = field(default_factory=set)
    """Entry point, initialisers and finalisers."""

    @classmethod
    def of(cls, elf: ElfFile, code: Code) -> Layout:
        """Read ``elf``'s own tables."""
        return cls(
            frames=read_frames(elf),
            functions=read_functions(elf),
            pointers=_relocated_pointers(elf, code),
            words=_code_words(elf, code) if elf.type == ET_EXEC else set(),
            entries=_entries(elf),
        )


def _entries(elf: ElfFile) -> set[int]:
    found = {elf.entry}
    if elf.dynamic is not None:
        values = elf.dynamic.values
        found |= {values.get(DT_INIT, 0), values.get(DT_FINI, 0)}
    return {address for address in found if elf.executable_at(address)}


def _relocated_pointers(elf: ElfFile, code: Code) -> set[int]:
    kinds = (R_X86_64_RELATIVE, R_X86_64_IRELATIVE)
    found = {r.addend for r in read_relocations(elf) if r.type in kinds}
    return {address for address in found if code.region_at(address) is not None}


def _code_words(elf: ElfFile, code: Code) -> set[int]:
    low, high = code.regions[0].start, code.regions[-1].end
    found: set[int] = set()
    for segment in elf.loads:
        if segment.executable or not segment.filesz:
            continue
        raw = elf.segment_bytes(segment)
        skip = -segment.vaddr % 8
        raw = raw[skip : skip + max(0, len(raw) - skip) // 8 * 8]
        found.update(word for (word,) in struct.iter_unpack("<Q", raw) if low <= word < high)
    return {address for address in found if code.region_at(address) is not None}


@dataclass(slots=True)
class Explorer:
    """Follows control flow and records what it decodes in ``code``."""

    elf: ElfFile
    code: Code
    layout: Layout
    _spans: list[tuple[int, int]] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _pads: dict[int, set[int]] = field(default_factory=dict)
    _pointers: list[int] = field(default_factory=list)
    _taken: set[int] = field(default_factory=set)
    _bases: list[int] = field(default_factory=list)
    _tables: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spans: set[tuple[int, int]] = set()
        for frame in self.layout.frames:
            if self._in_one_region(frame.start, frame.end):
                spans.add((frame.start, frame.end))
                self._pads.setdefault(frame.start, set()).update(frame.landing_pads)
        for function in self.layout.functions:
            if function.size and self._in_one_region(
                function.start, function.start + function.size
            ):
                spans.add((function.start, function.start + function.size))
        self._spans = sorted(spans)
        self._starts = [start for start, _ in self._spans]
        self._pointers = sorted(self.layout.pointers)

    def _in_one_region(self, start: int, end: int) -> bool:
        region = self.code.region_at(start)
        return region is not None and start < end <= region.end

    def explore_around(self, candidates: list[int]) -> None:
        """Decode the functions that hold ``candidates``; the whole program if some lie in none."""
        homeless = []
        wanted: set[tuple[int, int]] = set()
        for candidate in candidates:
            homes = self._homes(candidate)
            wanted.update(homes)
            if not homes:
                homeless.append(candidate)
        for start, end in sorted(wanted):
            self.explore(start, start, end)
        if homeless:
            self.explore_everything()

    def explore_home(self, address: int) -> bool:
        """Decode the known functions around ``address``; False if it is in none."""
        homes = self._homes(address)
        for start, end in homes:
            self.explore(start, start, end)
        return bool(homes)

    def _homes(self, address: int) -> list[tuple[int, int]]:
        found = []
        at = bisect.bisect_right(self._starts, address)
        # Spans can nest (a symbol inside of a frame), so look back a little further than one.
        for start, end in self._spans[max(0, at - 8) : at]:
            if address < end:
                found.append((start, end))
        return found

    def explore(self, start: int, low: int, high: int) -> None:
        """Follow control flow from ``start``, not leaving [low, high)."""
        work = [start, *sorted(self._pads.get(start, ()))]
        first = bisect.bisect_left(self._pointers, low)
        last = bisect.bisect_left(self._pointers, high)
        work += self._pointers[first:last]
        self._follow(work, low, high)

    def explore_everything(self) -> None:
        """Follow control flow through the whole program, calls and taken addresses included.

        What only looks like the address of a function comes last, and counts only where it does
        not contradict what is known by then.
        """
        sure = sorted(self.layout.entries)
        sure += [f.start for f in self.layout.functions]
        sure += self._starts
        sure += sorted(pad for pads in self._pads.values() for pad in pads)
        sure += self._pointers
        for region in self.code.regions:
            here = [a for a in sure if region.start <= a < region.end]
            self._follow(here, region.start, region.end, everything=True)
        looked_at: set[int] = set()
        unsure = self._taken | self.layout.words
        while unsure:
            looked_at |= unsure
            for address in sorted(unsure):
                self._try(address)
            unsure = self._taken - looked_at

    def _try(self, address: int) -> None:
        """Follow what may be a function; it is one for sure if it calls one that is."""
        region = self.code.region_at(address)
        if region is None or address in self.code.instructions:
            return
        runs = self._follow([address], region.start, region.end, everything=True, sure=False)
        found = {instruction.ip for run in runs for instruction in run}
        unsure = self.code.unsure
        for run in runs:
            for instruction in run:
                if instruction.op_count and instruction.op0_kind in _NEAR and instruction.len > 2:
                    target = instruction.near_branch_target
                    if target in self.code.instructions and target not in unsure | found:
                        unsure -= found
                        return

    def _follow(
        self, work: list[int], low: int, high: int, *, everything: bool = False, sure: bool = True
    ) -> list[list[Instruction]]:
        seen: set[int] = set()
        runs = []
        while work:
            start = work.pop()
            if start in seen or not low <= start < high:
                continue
            seen.add(start)
            if not sure and start in self.code.instructions:
                continue
            run = self._run(start, seen, high, sure=sure)
            if run is None or (not sure and not self.code.fits(run)):
                continue
            self.code.record(run, sure=sure)
            runs.append(run)
            for instruction in run:
                work += self._leads(instruction, low, high, everything=everything)
        return runs

    def _run(
        self, start: int, seen: set[int], high: int, *, sure: bool
    ) -> list[Instruction] | None:
        """Decode straight on from ``start`` until the flow ends.

        None if that runs into nonsense.
        """
        region = self.code.region_at(start)
        if region is None:
            return None
        decoder = region.decoder
        decoder.position = start - region.start
        decoder.ip = start
        run: list[Instruction] = []
        while decoder.ip < high:
            instruction = decoder.decode()
            if instruction.is_invalid:
                return None
            run.append(instruction)
            if not falls_through(instruction):
                break
            following = instruction.next_ip
            if following in seen or (not sure and following in self.code.instructions):
                follower = self.code.instructions.get(following)
                if follower is not None:
                    run.append(follower)
                break
            seen.add(following)
        return run

    def _leads(
        self, instruction: Instruction, low: int, high: int, *, everything: bool
    ) -> list[int]:
        """Record what ``instruction`` refers to and return the addresses to decode next."""
        flow = instruction.flow_control
        found: list[int] = []
        if instruction.op_count and instruction.op0_kind in _NEAR:
            target = instruction.near_branch_target
            self.code.targets.add(target)
            if flow in _DIRECT or everything:
                found.append(target)
        elif flow == FlowControl.INDIRECT_BRANCH:
            found += self._absolute_table(instruction, low, high)
        elif instruction.is_ip_rel_memory_operand and instruction.mnemonic == Mnemonic.LEA:
            target = instruction.ip_rel_memory_address
            self.code.targets.add(target)
            table = self._table(target)
            if everything:
                self._taken.update(table)
            else:
                found += [entry for entry in table if low <= entry < high]
            if everything and self.code.region_at(target) is not None:
                self._taken.add(target)
        return found

    def _table(self, base: int) -> tuple[int, ...]:
        """Return the code addresses in a table of 4-byte offsets from ``base``, if there is one."""
        if base not in self._tables:
            inside = self.code.region_at(base) is not None
            found: tuple[int, ...] = ()
            if not inside:
                found = read_offset_table(self.elf, self.code, base)[: self._table_room(base)]
            self._tables[base] = found
            self.code.targets.update(found)
        return self._tables[base]

    def _table_room(self, base: int) -> int:
        """Return how many entries a table at ``base`` can have before the next known datum starts."""
        if not self._bases:
            self._bases = _lea_targets(self.code)
        following = bisect.bisect_right(self._bases, base)
        if following == len(self._bases):
            return _TABLE_MAX
        return (self._bases[following] - base) // 4

    def _absolute_table(self, jump: Instruction, low: int, high: int) -> list[int]:
        """Return the entries of a `jmp [index * 8 + table]` in a program at a fixed address."""
        if jump.memory_base != Register.NONE or jump.memory_index_scale != 8:
            return []
        found: list[int] = []
        at = jump.memory_displacement
        while len(found) < _TABLE_MAX:
            word = self.elf.read(at, 8)
            if word is None or not low <= (entry := int.from_bytes(word, "little")) < high:
                break
            found.append(entry)
            at += 8
        self.code.targets.update(found)
        return found


def _lea_targets(code: Code) -> list[int]:
    """Return, sorted, what every sequence of bytes that reads as `lea r64, [rip + x]` names."""
    found = set()
    for region in code.regions:
        for match in _LEA.finditer(region.data):
            at = match.start() + 3
            offset = int.from_bytes(region.data[at : at + 4], "little", signed=True)
            found.add(region.start + at + 4 + offset)
    return sorted(found)


def read_offset_table(elf: ElfFile, code: Code, base: int) -> tuple[int, ...]:
    """Read a switch table as compilers emit it: 4-byte signed offsets from its own start into code."""
    first = elf.read(base, 4)
    if first is None:
        return ()
    entry = base + int.from_bytes(first, "little", signed=True)
    if code.region_at(entry) is None:
        return ()
    segment = next(s for s in elf.loads if s.vaddr <= base < s.vaddr + s.filesz)
    at = segment.offset + base - segment.vaddr
    end = min(segment.offset + segment.filesz, at + 4 * _TABLE_MAX)
    low, high = code.regions[0].start, code.regions[-1].end
    found: list[int] = []
    for (offset,) in struct.iter_unpack("<i", elf.data[at : at + (end - at) // 4 * 4]):
        entry = base + offset
        if not low <= entry < high or code.region_at(entry) is None:
            break
        found.append(entry)
    return tuple(found)
