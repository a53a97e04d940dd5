# SPDX-License-Identifier: Apache-2.0
"""Addresses near system calls that something may jump to.

Decoded functions are known exactly. Everywhere else any byte may start an instruction as far as
we know, so every byte sequence that could be a branch or an address computation counts: at worst
a site is left that could have been rewritten.
"""

from __future__ import annotations

import re
import struct

from kernlet.build.rewrite._code import Code, Region
from kernlet.build.rewrite._explore import Explorer, read_offset_table
from kernlet.elf import ElfFile
from kernlet.elf.constants import ET_EXEC

__all__ = ["protected_addresses"]

WINDOW = 40
"""Bytes before and behind a site in which its window can lie."""

# call, jmp rel32; jcc rel32; xbegin; lea r, [rip+disp32]. Looked at from every byte.
_REL32 = re.compile(
    rb"(?=[\xe8\xe9]|\x0f[\x80-\x8f]|\xc7\xf8|\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d])"
)
_REL8 = frozenset((*range(0x70, 0x80), 0xEB, 0xE0, 0xE1, 0xE2, 0xE3))
_LEA = 0x8D


def protected_addresses(
    elf: ElfFile, explorer: Explorer, labels: set[int], sites: list[int]
) -> set[int]:
    """Return the addresses near ``sites`` that must stay the start of what is there now."""
    code, layout = explorer.code, explorer.layout
    near: set[int] = set()
    for site in sites:
        near.update(range(site - WINDOW, site + WINDOW))
    found = set(labels) | layout.pointers | layout.words | layout.entries
    for frame in layout.frames:
        found.add(frame.start)
        found.update(frame.landing_pads)
    found.update(function.start for function in layout.functions)
    if elf.type == ET_EXEC:
        found |= _absolute_words(elf, near)
    for region in code.regions:
        suspects = _far_branches(elf, code, region, near)
        # Decoding the functions that such bytes lie in tells most of the accidents from branches.
        for source in sorted(suspects):
            explorer.explore_home(source)
        found.update(
            target
            for source, targets in suspects.items()
            if not code.marked(source)
            for target in targets
        )
    for region in code.regions:
        found |= _near_branches(region, sites, near)
    return (found | code.targets) & near


def _far_branches(elf: ElfFile, code: Code, region: Region, near: set[int]) -> dict[int, set[int]]:
    """Return what may refer to ``near`` by a 32-bit offset outside of decoded code: place, targets."""
    found: dict[int, set[int]] = {}
    data, marks, base = region.data, region.marks, region.start
    last = len(data) - 6
    tables: set[int] = set()
    for match in _REL32.finditer(data):
        at = match.start()
        if at > last or marks[at]:
            continue
        first = data[at]
        operand = at + (1 if first in (0xE8, 0xE9) else 2)
        target = (
            base + operand + 4 + int.from_bytes(data[operand : operand + 4], "little", signed=True)
        )
        if target in near:
            found.setdefault(base + at, set()).add(target)
        if first == _LEA and target not in tables:
            tables.add(target)
            entries = near.intersection(read_offset_table(elf, code, target))
            if entries:
                found.setdefault(base + at, set()).update(entries)
    return found


def _near_branches(region: Region, sites: list[int], near: set[int]) -> set[int]:
    """Targets of anything that reads as an 8-bit relative branch outside of decoded code."""
    found = set()
    data, marks, base = region.data, region.marks, region.start
    for site in sites:
        if not base <= site < region.end:
            continue
        low = max(0, site - base - WINDOW - 130)
        high = min(len(data) - 1, site - base + WINDOW + 130)
        for at in range(low, high):
            if data[at] in _REL8 and not marks[at]:
                target = base + at + 2 + struct.unpack_from("<b", data, at + 1)[0]
                if target in near:
                    found.add(target)
    return found


def _absolute_words(elf: ElfFile, near: set[int]) -> set[int]:
    """Addresses in ``near`` that occur as a 4-byte value anywhere in a program at a fixed address."""
    found = set()
    wanted = {struct.pack("<I", address): address for address in near if 0 <= address < 1 << 32}
    # Few distinct upper halves cover all of them; search for those and compare the whole.
    for tail in {key[2:] for key in wanted}:
        for segment in elf.loads:
            raw = elf.segment_bytes(segment)
            at = raw.find(tail, 2)
            while at >= 0:
                address = wanted.get(raw[at - 2 : at + 2])
                if address is not None:
                    found.add(address)
                at = raw.find(tail, at + 1)
    return found
