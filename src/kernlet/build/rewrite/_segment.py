# SPDX-License-Identifier: Apache-2.0
"""Adding one executable segment to a finished ELF file.

Nothing that is there moves: section headers, symbols, debugging information and the dynamic
section keep their offsets and addresses. The new program header goes, in this order of
preference, into unused room behind the others, into the place of one that only repeats what
another says, or with all others into the new segment.
"""

from __future__ import annotations

from kernlet.elf import ElfFile, MalformedElfError, Segment
from kernlet.elf.constants import (
    EHDR,
    PF_R,
    PF_X,
    PHDR,
    PN_XNUM,
    PT_GNU_PROPERTY,
    PT_LOAD,
    PT_PAX_FLAGS,
    PT_PHDR,
    SHDR,
    SHT_NOBITS,
)

__all__ = ["PAGE", "append_segment", "segment_address", "table_bytes"]

PAGE = 4096
_REDUNDANT = (PT_GNU_PROPERTY, PT_PAX_FLAGS)
_SECTIONS_MAX = 65536


def segment_address(elf: ElfFile) -> int:
    """Return where the new segment will lie: the first page behind all others (bss included).

    With the program headers in it, its address is its offset in the file too: musl's loader (and Linux
    before 5.18) looks for the headers at the file's first page plus their offset.
    """
    end = max(s.end for s in elf.loads)
    if table_bytes(elf):
        first = min(elf.loads, key=lambda s: s.vaddr)
        end = max(end, len(elf.data) + first.vaddr - first.offset)
    return _up(end)


def table_bytes(elf: ElfFile) -> int:
    """Return how much room at its start the new segment needs for the program headers: 0 if they stay."""
    if _redundant(elf) is not None or _has_room(elf):
        return 0
    return (len(elf.segments) + 1) * PHDR.size


def append_segment(elf: ElfFile, patched: bytearray, content: bytes) -> bytes:
    """Return ``patched`` (a changed copy of the file, same size) with ``content`` as a read-execute segment.

    ``content`` starts with table_bytes() bytes of room; it will be found at segment_address().
    """
    address = segment_address(elf)
    offset = _up(len(patched))
    if table_bytes(elf):
        first = min(elf.loads, key=lambda s: s.vaddr)
        offset = address - (first.vaddr - first.offset)
    added = Segment(PT_LOAD, PF_R | PF_X, offset, address, len(content), len(content), PAGE)
    segments = list(elf.segments)
    redundant = _redundant(elf)
    if redundant is not None:
        del segments[redundant]
    last = max(index for index, s in enumerate(segments) if s.type == PT_LOAD)
    segments.insert(last + 1, added)
    if len(segments) >= PN_XNUM:
        raise MalformedElfError(f"{elf.name} has too many program headers")
    out = patched + bytes(offset - len(patched)) + content
    table_at = elf.header.phoff
    if table_bytes(elf):
        table_at = offset
        segments = [
            Segment(
                PT_PHDR,
                s.flags,
                offset,
                address,
                len(segments) * PHDR.size,
                len(segments) * PHDR.size,
                s.align,
            )
            if s.type == PT_PHDR
            else s
            for s in segments
        ]
    elif redundant is None:
        segments = [_grown(s, len(segments)) if s.type == PT_PHDR else s for s in segments]
    _write_headers(out, table_at, segments)
    return bytes(out)


def _write_headers(out: bytearray, table_at: int, segments: list[Segment]) -> None:
    fields = list(EHDR.unpack_from(out))
    fields[5], fields[10] = table_at, len(segments)
    EHDR.pack_into(out, 0, *fields)
    for index, s in enumerate(segments):
        PHDR.pack_into(
            out,
            table_at + index * PHDR.size,
            s.type,
            s.flags,
            s.offset,
            s.vaddr,
            s.vaddr,
            s.filesz,
            s.memsz,
            s.align,
        )


def _grown(segment: Segment, count: int) -> Segment:
    size = count * PHDR.size
    return Segment(
        segment.type, segment.flags, segment.offset, segment.vaddr, size, size, segment.align
    )


def _redundant(elf: ElfFile) -> int | None:
    """Return the index of a program header that can be spared (PT_NOTE says the same as GNU_PROPERTY)."""
    for index, segment in enumerate(elf.segments):
        if segment.type in _REDUNDANT:
            return index
    return None


def _has_room(elf: ElfFile) -> bool:
    """Whether unused bytes follow the program headers, in the file and in the segment that holds them."""
    end = elf.header.phoff + len(elf.segments) * PHDR.size
    wanted = end + PHDR.size
    if elf.data[end:wanted] != bytes(PHDR.size):
        return False
    used = [s.offset for s in elf.segments if s.filesz and s.type not in (PT_LOAD, PT_PHDR)]
    if not elf.header.shoff or elf.header.shentsize != SHDR.size:
        return False  # nothing says what those zeros are
    at, count = elf.header.shoff, min(elf.header.shnum, _SECTIONS_MAX)
    if count < 2 or at + count * SHDR.size > len(elf.data):
        return False
    for index in range(1, count):
        fields = SHDR.unpack_from(elf.data, at + index * SHDR.size)
        if fields[1] != SHT_NOBITS and fields[5]:
            used.append(fields[4])
    if any(elf.header.phoff <= offset < wanted for offset in used):
        return False
    holder = [s for s in elf.loads if s.offset <= elf.header.phoff < s.offset + s.filesz]
    return all(wanted <= s.offset + s.filesz for s in holder) and bool(holder)


def _up(value: int) -> int:
    return (value + PAGE - 1) // PAGE * PAGE
