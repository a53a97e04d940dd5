# SPDX-License-Identifier: Apache-2.0
"""An ELF file as the analysis looks at it: code, data, pointers, and symbols with versions, as its loader sees them.

Source: System V ABI, chapter 5; the GNU extensions for hashes and versions (LSB Core 5.0, sections 10.7 and 10.8).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from kernlet.elf import (
    ElfFile,
    Frame,
    Function,
    read_frames,
    read_functions,
    read_objects,
    read_relocations,
)
from kernlet.elf.constants import (
    DT_FINI,
    DT_INIT,
    DT_STRSZ,
    DT_STRTAB,
    ET_EXEC,
    PF_W,
    PF_X,
    R_X86_64_IRELATIVE,
    R_X86_64_RELATIVE,
    SYM,
)

__all__ = ["DynamicSymbol", "ElfView", "Names", "Region"]

_DT_HASH, _DT_SYMTAB, _DT_GNU_HASH = 4, 6, 0x6FFFFEF5
_DT_VERSYM, _DT_VERDEF, _DT_VERNEED = 0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFE
_DT_INIT_ARRAY, _DT_INIT_ARRAYSZ, _DT_FINI_ARRAY, _DT_FINI_ARRAYSZ = 25, 27, 26, 28
_DT_PREINIT_ARRAY, _DT_PREINIT_ARRAYSZ = 32, 33
_GLOB_DAT, _JUMP_SLOT = 6, 7
_SYMBOLS_MAX = 1_000_000
_RECORDS_MAX = 100_000
_VERSION_HIDDEN = 0x8000
_STB_LOCAL = 0
_STT_TLS, _STT_FILE, _STT_SECTION = 6, 4, 3
_ARRAY_MAX = 65536
_STRING_MAX = 4096


@dataclass(frozen=True, slots=True)
class DynamicSymbol:
    """A symbol for other files, or from them. ``version`` is "" for none; ``hidden``: not the default version."""

    name: str
    version: str
    value: int
    size: int
    defined: bool
    hidden: bool
    tls: bool


@dataclass(frozen=True, slots=True)
class Region:
    """The file-backed bytes of one segment."""

    start: int
    data: bytes
    executable: bool
    writable: bool

    @property
    def end(self) -> int:
        """First address behind it."""
        return self.start + len(self.data)


@dataclass(slots=True)
class ElfView:
    """What the analysis needs of one file. Addresses are as linked.

    ``objects`` are the symbols of data, where there are any (some may lie in code). ``pointers`` maps the place of each
    pointer in data to the address it will hold; ``imports`` maps places to the index in ``symbols`` and an addend;
    ``resolvers`` are the functions that the loader calls for IFUNC symbols.
    """

    elf: ElfFile
    regions: list[Region]
    symbols: list[DynamicSymbol]
    frames: list[Frame]
    functions: list[Function]
    objects: list[Function]
    pointers: dict[int, int] = field(default_factory=dict)
    imports: dict[int, tuple[int, int]] = field(default_factory=dict)
    slots: set[int] = field(default_factory=set)
    """Places of the global offset table: only single instructions read them."""
    resolvers: set[int] = field(default_factory=set)
    initialisers: set[int] = field(default_factory=set)
    _code: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def of(cls, elf: ElfFile) -> ElfView:
        """Read the tables of ``elf``. Raises ElfError."""
        regions = [
            Region(s.vaddr, elf.segment_bytes(s), bool(s.flags & PF_X), bool(s.flags & PF_W))
            for s in elf.loads
            if s.filesz
        ]
        symbols = _symbols(elf)
        objects = {(o.start, o.size): o for o in read_objects(elf)}
        for s in symbols:
            if s.defined and s.size and not s.tls:
                objects.setdefault((s.value, s.size), Function(s.name, s.value, s.size))
        view = cls(
            elf,
            regions,
            symbols,
            read_frames(elf),
            read_functions(elf),
            [objects[key] for key in sorted(objects)],
        )
        view._code = [(r.start, r.end) for r in regions if r.executable]
        view._relocate()
        view._find_initialisers()
        return view

    @property
    def absolute(self) -> bool:
        """Whether the code is linked at a fixed address, so that any number in it may be an address."""
        return self.elf.type == ET_EXEC

    def region_at(self, address: int) -> Region | None:
        """Return the region that holds ``address``."""
        for region in self.regions:
            if region.start <= address < region.end:
                return region
        return None

    def in_code(self, address: int) -> bool:
        """Whether ``address`` lies in executable bytes of the file."""
        for start, end in self._code:  # noqa: SIM110 - asked millions of times
            if start <= address < end:
                return True
        return False

    def string(self, address: int) -> str | None:
        """Return the zero-terminated text at ``address``; None if there is none that is printable."""
        region = self.region_at(address)
        if region is None or region.executable:
            return None
        at = address - region.start
        end = region.data.find(b"\0", at, at + _STRING_MAX)
        if end <= at:
            return None
        raw = region.data[at:end]
        return raw.decode("ascii") if raw.isascii() and raw.decode("ascii").isprintable() else None

    def word(self, address: int) -> int | None:
        """Return the 8 bytes at ``address`` as the file has them."""
        raw = self.elf.read(address, 8)
        return None if raw is None else int.from_bytes(raw, "little")

    def data_segment_end(self, address: int) -> int:
        """Return the end of the segment (with what is zeroed) that holds ``address``."""
        for segment in self.elf.loads:
            if segment.vaddr <= address < segment.end:
                return segment.end
        return address

    def _relocate(self) -> None:
        count = len(self.symbols)
        for relocation in read_relocations(self.elf):
            if relocation.type == R_X86_64_RELATIVE:
                self.pointers[relocation.offset] = relocation.addend
            elif relocation.type == R_X86_64_IRELATIVE:
                self.pointers[relocation.offset] = relocation.addend
                self.resolvers.add(relocation.addend)
            elif 0 < relocation.symbol < count:
                self.imports[relocation.offset] = (relocation.symbol, relocation.addend)
                if relocation.type in (_GLOB_DAT, _JUMP_SLOT):
                    self.slots.add(relocation.offset)
        if self.absolute:
            self.pointers.update(_words(self))

    def _find_initialisers(self) -> None:
        dynamic = self.elf.dynamic
        if dynamic is None:
            # A static program starts them itself, through symbols of the linker: they are ordinary pointers in data.
            return
        values = dynamic.values
        found = {values.get(DT_INIT, 0), values.get(DT_FINI, 0)}
        for start, size in (
            (_DT_INIT_ARRAY, _DT_INIT_ARRAYSZ),
            (_DT_FINI_ARRAY, _DT_FINI_ARRAYSZ),
            (_DT_PREINIT_ARRAY, _DT_PREINIT_ARRAYSZ),
        ):
            first = values.get(start)
            if first is None:
                continue
            for index in range(min(values.get(size, 0) // 8, _ARRAY_MAX)):
                place = first + 8 * index
                target = self.pointers.get(place)
                if target is None and place in self.imports:
                    symbol, addend = self.imports[place]
                    target = self.symbols[symbol].value + addend
                if target is None:
                    target = self.word(place) or 0
                found.add(target)
        self.initialisers = {address for address in found if self.in_code(address)}


def _words(view: ElfView) -> dict[int, int]:
    """Return the aligned words in data that read as an address in the file: any may be a pointer."""
    low, high = view.elf.loads[0].vaddr, view.elf.loads[-1].end
    found: dict[int, int] = {}
    for region in view.regions:
        if region.executable:
            continue
        skip = -region.start % 8
        usable = region.data[skip : skip + max(0, len(region.data) - skip) // 8 * 8]
        place = region.start + skip
        for (word,) in struct.iter_unpack("<Q", usable):
            if low <= word < high:
                found[place] = word
            place += 8
    return found


def _symbols(elf: ElfFile) -> list[DynamicSymbol]:
    """Read the dynamic symbol table; what lies outside of the file is left out."""
    dynamic = elf.dynamic
    if dynamic is None or _DT_SYMTAB not in dynamic.values:
        return []
    values = dynamic.values
    table, names_at = values[_DT_SYMTAB], values.get(DT_STRTAB, 0)
    names = elf.read(names_at, values.get(DT_STRSZ, 0)) or b""
    count = _symbol_count(elf, values, table)
    raw = elf.read(table, count * SYM.size)
    if raw is None:
        return []
    versions = _Versions(elf, values, names, count)
    found = []
    for index, (name_at, info, _, section, value, size) in enumerate(SYM.iter_unpack(raw)):
        kind = info & 0xF
        usable = kind not in (_STT_FILE, _STT_SECTION)
        version, hidden = versions.of(index)
        found.append(
            DynamicSymbol(
                _name(names, name_at) if usable else "",
                version,
                value,
                size,
                defined=section != 0 and info >> 4 != _STB_LOCAL and usable,
                hidden=hidden,
                tls=kind == _STT_TLS,
            )
        )
    return found


def _name(names: bytes, at: int) -> str:
    end = names.find(b"\0", at)
    return names[at:end].decode("utf-8", "surrogateescape") if 0 <= at < end else ""


def _symbol_count(elf: ElfFile, values: dict[int, int], table: int) -> int:
    """Return how many dynamic symbols there are: the hash tables say it, else the string table that follows."""
    head = elf.read(values[_DT_HASH], 8) if _DT_HASH in values else None
    if head is not None:
        return min(int.from_bytes(head[4:], "little"), _SYMBOLS_MAX)
    if _DT_GNU_HASH in values:
        count = _gnu_hash_count(elf, values[_DT_GNU_HASH])
        if count is not None:
            return min(count, _SYMBOLS_MAX)
    return min(max(0, values.get(DT_STRTAB, 0) - table) // SYM.size, _SYMBOLS_MAX)


def _gnu_hash_count(elf: ElfFile, at: int) -> int | None:
    head = elf.read(at, 16)
    if head is None:
        return None
    buckets, first, bloom, _ = (int.from_bytes(head[i : i + 4], "little") for i in (0, 4, 8, 12))
    buckets_at = at + 16 + 8 * bloom
    raw = elf.read(buckets_at, 4 * min(buckets, _SYMBOLS_MAX))
    if raw is None or not buckets:
        return None
    last = int(max(struct.unpack(f"<{len(raw) // 4}I", raw)))
    if last < first:
        return first
    chains_at = buckets_at + 4 * buckets
    while last < _SYMBOLS_MAX:
        entry = elf.read(chains_at + 4 * (last - first), 4)
        if entry is None:
            return None
        last += 1
        if entry[0] & 1:
            return last
    return None


class _Versions:
    """The version of each dynamic symbol."""

    def __init__(self, elf: ElfFile, values: dict[int, int], names: bytes, count: int) -> None:
        self._elf = elf
        self._values = values
        self._strings = names
        self._names: dict[int, str] = {}
        raw = elf.read(values[_DT_VERSYM], 2 * count) if _DT_VERSYM in values else None
        self._indices = struct.unpack(f"<{count}H", raw) if raw is not None else ()
        if self._indices:
            self._read_defined()
            self._read_needed()

    def of(self, index: int) -> tuple[str, bool]:
        """Return the version's name and whether it is hidden."""
        if index >= len(self._indices):
            return "", False
        value = self._indices[index]
        return self._names.get(value & ~_VERSION_HIDDEN, ""), bool(value & _VERSION_HIDDEN)

    def _read_defined(self) -> None:
        for at, raw in self._records(_DT_VERDEF, 20, 16):
            _, flags, index, _, _, aux, _ = struct.unpack("<HHHHIII", raw)
            entry = self._elf.read(at + aux, 8)
            if entry is not None and not flags & 1:
                self._names[index] = _name(self._strings, struct.unpack("<II", entry)[0])

    def _read_needed(self) -> None:
        for at, raw in self._records(_DT_VERNEED, 16, 12):
            _, count, _, aux, _ = struct.unpack("<HHIII", raw)
            place = at + aux
            for _ in range(count):
                entry = self._elf.read(place, 16)
                if entry is None:
                    break
                _, _, index, name_at, following = struct.unpack("<IHHII", entry)
                self._names[index & ~_VERSION_HIDDEN] = _name(self._strings, name_at)
                if not following:
                    break
                place += following

    def _records(self, tag: int, size: int, next_at: int) -> Iterator[tuple[int, bytes]]:
        at = self._values.get(tag)
        for _ in range(_RECORDS_MAX):
            raw = self._elf.read(at, size) if at is not None else None
            if raw is None or at is None:
                return
            yield at, raw
            following = int.from_bytes(raw[next_at : next_at + 4], "little")
            if not following:
                return
            at += following


class Names:
    """Names of places in code: the symbol that holds an address, or starts nearest before it in the same function."""

    def __init__(self, view: ElfView) -> None:
        named = {f.start: f for f in view.functions if f.name}
        self._starts = sorted(named)
        self._named = named

    def of(self, address: int, start: int) -> str:
        """Return the name of the function around ``address``, whose code starts at ``start``; "" if nothing says."""
        at = bisect_right(self._starts, address)
        if at:
            function = self._named[self._starts[at - 1]]
            inside = address < function.start + max(function.size, 1)
            if inside or function.start == start:
                return function.name
        return ""
