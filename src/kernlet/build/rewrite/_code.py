# SPDX-License-Identifier: Apache-2.0
"""Decoded code: which bytes of the executable segments are known to be which instructions."""

from __future__ import annotations

from dataclasses import dataclass, field

from iced_x86 import Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic

from kernlet.elf import ElfFile

__all__ = ["SYSCALL", "Code", "Region"]

SYSCALL = b"\x0f\x05"
MAX_INSTRUCTION = 15

_START, _MIDDLE = 1, 2


@dataclass(slots=True)
class Region:
    """The file-backed part of one executable segment, with a mark for each byte that was decoded."""

    start: int
    data: bytes
    marks: bytearray
    decoder: Decoder

    @property
    def end(self) -> int:
        """First address behind it."""
        return self.start + len(self.data)


@dataclass(slots=True)
class Code:
    """The executable regions of a file and every instruction decoded so far.

    ``instructions`` maps an address to its instruction; ``before`` maps an address to the start
    of the instruction that falls through to it; ``conflicts`` holds addresses of instructions
    that overlap another one; ``targets`` every address that a decoded branch or RIP-relative
    `lea` names; ``unsure`` the instructions that only an address which may be data leads to.
    """

    regions: list[Region]
    instructions: dict[int, Instruction] = field(default_factory=dict)
    before: dict[int, int] = field(default_factory=dict)
    conflicts: set[int] = field(default_factory=set)
    targets: set[int] = field(default_factory=set)
    unsure: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, elf: ElfFile) -> Code:
        """Return the regions of ``elf``, nothing decoded yet."""
        regions = []
        for segment in elf.loads:
            if segment.executable and segment.filesz:
                data = elf.segment_bytes(segment)
                decoder = Decoder(64, data, DecoderOptions.NONE, segment.vaddr)
                regions.append(Region(segment.vaddr, data, bytearray(len(data)), decoder))
        return cls(regions)

    def region_at(self, address: int) -> Region | None:
        """Return the region that holds ``address``."""
        for region in self.regions:
            if region.start <= address < region.end:
                return region
        return None

    def candidates(self) -> list[int]:
        """Return the address of every pair of bytes that reads as `syscall`, code or not."""
        found = []
        for region in self.regions:
            at = region.data.find(SYSCALL)
            while at >= 0:
                found.append(region.start + at)
                at = region.data.find(SYSCALL, at + 1)
        return found

    def decode(self, address: int) -> Instruction | None:
        """Decode one instruction without recording it; None where there is no valid one."""
        known = self.instructions.get(address)
        if known is not None:
            return known
        region = self.region_at(address)
        if region is None:
            return None
        decoder = region.decoder
        decoder.position = address - region.start
        decoder.ip = address
        instruction = decoder.decode()
        return None if instruction.is_invalid else instruction

    def fits(self, run: list[Instruction]) -> bool:
        """Whether no instruction of ``run`` overlaps a recorded one that starts elsewhere."""
        region = self.region_at(run[0].ip)
        assert region is not None
        start, marks = region.start, region.marks
        for instruction in run:
            address = instruction.ip
            if address not in self.instructions:
                at = address - start
                if any(marks[at : at + instruction.len]):
                    return False
        return True

    def record(self, run: list[Instruction], *, sure: bool = True) -> None:
        """Add a run of instructions, each of which falls through to the next one."""
        region = self.region_at(run[0].ip)
        assert region is not None
        start, marks = region.start, region.marks
        instructions, before = self.instructions, self.before
        previous: int | None = None
        for instruction in run:
            address = instruction.ip
            if previous is not None:
                before[address] = previous
            previous = address
            if address in instructions:
                continue
            instructions[address] = instruction
            if not sure:
                self.unsure.add(address)
            at, size = address - start, instruction.len
            if marks.count(0, at, at + size) != size:
                self._conflict(instruction)
            marks[at : at + size] = _MARKS[size]

    def _conflict(self, instruction: Instruction) -> None:
        """Note that ``instruction`` and those that it overlaps contradict each other."""
        address = instruction.ip
        self.conflicts.add(address)
        for near in range(address - MAX_INSTRUCTION, instruction.next_ip):
            other = self.instructions.get(near)
            if other is not None and near + other.len > address:
                self.conflicts.add(near)

    def marked(self, address: int) -> bool:
        """Whether the byte at ``address`` belongs to a recorded instruction."""
        region = self.region_at(address)
        return region is not None and region.marks[address - region.start] != 0

    def slice(self, start: int, end: int) -> bytes:
        """Return the bytes of [start, end), which lie in one region."""
        region = self.region_at(start)
        assert region is not None
        return region.data[start - region.start : end - region.start]


_MARKS = [bytes([_START] + [_MIDDLE] * (size - 1)) for size in range(16)]
_MARKS[0] = b""


def is_syscall(instruction: Instruction) -> bool:
    """Whether this is the two-byte `syscall`."""
    return instruction.mnemonic == Mnemonic.SYSCALL and instruction.len == 2


def falls_through(instruction: Instruction) -> bool:
    """Whether execution can go on behind this instruction (calls are taken to return, `hlt` is a fault)."""
    return instruction.flow_control not in _STOPS and instruction.mnemonic != Mnemonic.HLT


_STOPS = frozenset(
    (
        FlowControl.UNCONDITIONAL_BRANCH,
        FlowControl.INDIRECT_BRANCH,
        FlowControl.RETURN,
        FlowControl.EXCEPTION,
    )
)
