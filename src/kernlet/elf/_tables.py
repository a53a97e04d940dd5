# SPDX-License-Identifier: Apache-2.0
"""Symbols (through pyelftools: they need section headers) and relocations (through the loader's tables)."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from kernlet.elf import constants as c
from kernlet.elf._file import ElfFile
from kernlet.elf.constants import (
    R_X86_64_RELATIVE,
    RELA,
    STT_FUNC,
    STT_GNU_IFUNC,
    STT_NOTYPE,
    STT_OBJECT,
    SYM,
)

__all__ = [
    "Function",
    "Relocation",
    "read_functions",
    "read_imports",
    "read_labels",
    "read_objects",
    "read_relocations",
    "section_address",
]

# What pyelftools lets through when a file contradicts itself.
_BROKEN = (
    ELFError,
    ConstructError,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    OSError,
)

_SYMBOLS_MAX = 4_000_000
_RELOCATIONS_MAX = 8_000_000


@dataclass(frozen=True, slots=True)
class Function:
    """A symbol of a function, or of data: [start, start + size), size 0 if the symbol doesn't say."""

    name: str
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Relocation:
    """One dynamic relocation. ``addend`` is the address meant, for the RELATIVE kinds."""

    offset: int
    type: int
    symbol: int
    addend: int


def _symbol_tables(elf: ElfFile) -> list[tuple[bytes, bytes]]:
    """Return (symbols, names) of each symbol table that the section headers name."""
    if not elf.header.shoff:
        return []
    tables = []
    try:
        reader = ELFFile(io.BytesIO(elf.data))
        for section in reader.iter_sections():
            if isinstance(section, SymbolTableSection):
                strings = reader.get_section(section["sh_link"])
                size = min(section["sh_size"], _SYMBOLS_MAX * SYM.size, len(elf.data))
                at, names_at = section["sh_offset"], strings["sh_offset"]
                names = elf.data[names_at : names_at + strings["sh_size"]]
                tables.append((elf.data[at : at + size], names))
    except _BROKEN:
        return tables
    return tables


def section_address(elf: ElfFile, name: str) -> int | None:
    """Return the address of the section called ``name``, None if there is none in memory."""
    if not elf.header.shoff:
        return None
    try:
        section = ELFFile(io.BytesIO(elf.data)).get_section_by_name(name)
        return None if section is None else int(section["sh_addr"]) or None
    except _BROKEN:
        return None


def _symbols(elf: ElfFile) -> list[tuple[int, int, int, bytes]]:
    """Return (type, value, size, name) of every defined symbol with an address in the file's code."""
    found = []
    for raw, names in _symbol_tables(elf):
        usable = len(raw) // SYM.size * SYM.size
        for name_at, info, _, index, value, size in SYM.iter_unpack(raw[:usable]):
            kind = info & 0xF
            if index == 0 or kind not in (STT_NOTYPE, STT_FUNC, STT_GNU_IFUNC) or not value:
                continue
            end = names.find(b"\0", name_at)
            found.append((kind, value, size, names[name_at:end] if end >= 0 else b""))
    return found


def read_functions(elf: ElfFile) -> list[Function]:
    """Return the function symbols that lie in executable segments, sorted by address.

    Empty for a stripped file.
    """
    ranges = [(s.vaddr, s.vaddr + s.filesz) for s in elf.loads if s.executable]
    found = {
        (value, size): Function(name.decode("utf-8", "surrogateescape"), value, size)
        for kind, value, size, name in _symbols(elf)
        if kind != STT_NOTYPE and any(lo <= value and value + size <= hi for lo, hi in ranges)
    }
    return [found[key] for key in sorted(found)]


def read_objects(elf: ElfFile) -> list[Function]:
    """Return the symbols of data that say their size, sorted by address. Empty for a stripped file."""
    found = {}
    for raw, names in _symbol_tables(elf):
        usable = len(raw) // SYM.size * SYM.size
        for name_at, info, _, index, value, size in SYM.iter_unpack(raw[:usable]):
            if index and info & 0xF == STT_OBJECT and value and size:
                end = names.find(b"\0", name_at)
                name = names[name_at:end] if end >= 0 else b""
                found[value, size] = Function(name.decode("utf-8", "surrogateescape"), value, size)
    return [found[key] for key in sorted(found)]


def read_labels(elf: ElfFile) -> set[int]:
    """Return every address that any symbol names, functions and plain labels alike."""
    return {value for _, value, _, _ in _symbols(elf)}


def read_imports(elf: ElfFile) -> set[str]:
    """Return the names of the symbols that a dynamic file takes from its libraries."""
    if elf.dynamic is None:
        return set()
    found = set()
    for raw, names in _symbol_tables(elf):
        usable = len(raw) // SYM.size * SYM.size
        for name_at, info, _, index, _, _ in SYM.iter_unpack(raw[:usable]):
            if index == 0 and name_at and info & 0xF in (STT_NOTYPE, STT_FUNC, STT_GNU_IFUNC):
                end = names.find(b"\0", name_at)
                if end >= 0:
                    found.add(names[name_at:end].decode("utf-8", "surrogateescape"))
    return found


def read_relocations(elf: ElfFile) -> list[Relocation]:
    """Return the dynamic relocations (DT_RELA, DT_JMPREL, DT_RELR).

    Those outside of the file are left out.
    """
    dynamic = elf.dynamic
    if dynamic is None:
        return []
    values = dynamic.values
    found: list[Relocation] = []
    for table, size in ((c.DT_RELA, c.DT_RELASZ), (c.DT_JMPREL, c.DT_PLTRELSZ)):
        start, length = values.get(table), values.get(size, 0)
        if start is None:
            continue
        raw = elf.read(start, min(length, len(elf.data)) // RELA.size * RELA.size)
        for offset, info, addend in RELA.iter_unpack(raw or b""):
            found.append(Relocation(offset, info & 0xFFFFFFFF, info >> 32, addend))
    if c.DT_RELR in values:
        found += _read_relr(elf, values[c.DT_RELR], values.get(c.DT_RELRSZ, 0))
    return found


def _read_relr(elf: ElfFile, start: int, size: int) -> list[Relocation]:
    """Expand the compact table of relative relocations.

    The addend is what the file holds at the place.
    """
    raw = elf.read(start, min(size, len(elf.data)) // 8 * 8) or b""
    places: list[int] = []
    where = 0
    for (entry,) in struct.iter_unpack("<Q", raw):
        if len(places) > _RELOCATIONS_MAX:
            break
        if entry & 1 == 0:
            places.append(entry)
            where = entry + 8
            continue
        places += [where + 8 * bit for bit in range(63) if entry >> (bit + 1) & 1]
        where += 63 * 8
    found = []
    for place in places:
        word = elf.read(place, 8)
        if word is not None:
            found.append(Relocation(place, R_X86_64_RELATIVE, 0, struct.unpack("<Q", word)[0]))
    return found
