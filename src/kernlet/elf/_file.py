# SPDX-License-Identifier: Apache-2.0
"""The ELF header and the program headers: what a loader looks at.

Source: System V ABI, chapters 4 and 5; elf(5). The headers are read here, with every bound
checked, because a loader's view must hold even for files whose section headers are missing or lie.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kernlet.elf._dynamic import Dynamic, read_dynamic
from kernlet.elf._errors import MalformedElfError, NotElfError, UnsupportedElfError
from kernlet.elf.constants import (
    DF_1_PIE,
    EHDR,
    EM_X86_64,
    ET_DYN,
    ET_EXEC,
    NT_GNU_BUILD_ID,
    PF_X,
    PHDR,
    PT_DYNAMIC,
    PT_INTERP,
    PT_LOAD,
    PT_NOTE,
)

__all__ = ["ElfFile", "ElfKind", "Segment"]

_PATH_MAX = 4096
_ADDRESS_TOP = 1 << 47

_MACHINES = {
    3: "32-bit x86",
    8: "MIPS",
    20: "PowerPC",
    21: "64-bit PowerPC",
    22: "S/390",
    40: "32-bit ARM",
    183: "64-bit ARM",
    243: "RISC-V",
    258: "LoongArch",
}
_TYPES = {0: "no type", 1: "an object file (.o)", 4: "a core dump"}


class ElfKind(enum.StrEnum):
    """How a file is started, as a user would name it."""

    STATIC = "static"
    STATIC_PIE = "static-pie"
    DYNAMIC = "dynamic"
    LIBRARY = "shared library"


@dataclass(frozen=True, slots=True)
class Segment:
    """One program header. Offsets, sizes and alignment in bytes; ``vaddr`` as linked."""

    type: int
    flags: int
    offset: int
    vaddr: int
    filesz: int
    memsz: int
    align: int

    @property
    def executable(self) -> bool:
        """Whether code in it may run."""
        return bool(self.flags & PF_X)

    @property
    def end(self) -> int:
        """First address behind it."""
        return self.vaddr + self.memsz


@dataclass(frozen=True, slots=True)
class _Header:
    type: int
    entry: int
    phoff: int
    phnum: int
    shoff: int
    shnum: int
    shentsize: int


class ElfFile:
    """An ELF64 x86-64 executable or shared library in memory.

    Construction checks what a loader relies on and raises an ElfError otherwise: NotElfError,
    UnsupportedElfError or MalformedElfError. ``name`` is used in messages only. The data is not
    copied and must not change.
    """

    def __init__(self, data: bytes, name: str = "file") -> None:
        self.data = data
        self.name = name
        self.header = _read_header(data, name)
        self.segments = _read_segments(data, self.header, name)
        self.loads = tuple(s for s in self.segments if s.type == PT_LOAD)
        _check_loads(self.loads, len(data), name)
        self.interpreter = self._read_interpreter()

    @classmethod
    def open(cls, path: Path | str) -> ElfFile:
        """Read the file at ``path``. Raises ElfError, also when the file can't be read."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise NotElfError(
                f"can't read {path}",
                cause=error.strerror,
                hint="check the path and its permissions",
            ) from error
        return cls(data, str(path))

    @property
    def type(self) -> int:
        """ET_EXEC or ET_DYN."""
        return self.header.type

    @property
    def entry(self) -> int:
        """Address of the first instruction, as linked; 0 for most libraries."""
        return self.header.entry

    @property
    def kind(self) -> ElfKind:
        """How this file is started.

        A library that can also be run (libc.so.6, ld.so) is a LIBRARY.
        """
        if self.type == ET_EXEC:
            return ElfKind.DYNAMIC if self.interpreter else ElfKind.STATIC
        dynamic = self.dynamic
        if dynamic is not None and dynamic.soname is not None:
            return ElfKind.LIBRARY
        if self.interpreter:
            return ElfKind.DYNAMIC
        if dynamic is None or dynamic.flags_1 & DF_1_PIE or (self.entry and not dynamic.needed):
            return ElfKind.STATIC_PIE
        return ElfKind.LIBRARY

    @cached_property
    def dynamic(self) -> Dynamic | None:
        """The dynamic section, or None. Raises MalformedElfError."""
        for segment in self.segments:
            if segment.type == PT_DYNAMIC:
                return read_dynamic(self, self.segment_bytes(segment))
        return None

    @cached_property
    def build_id(self) -> str | None:
        """The GNU build id in hexadecimal, or None."""
        for segment in self.segments:
            if segment.type == PT_NOTE:
                found = _find_build_id(self.segment_bytes(segment), segment.align)
                if found is not None:
                    return found
        return None

    def segment_bytes(self, segment: Segment) -> bytes:
        """Return the part of the file that ``segment`` names.

        Raises MalformedElfError if the file is shorter.
        """
        end = segment.offset + segment.filesz
        if end > len(self.data):
            raise _truncated(self.name, end, len(self.data))
        return self.data[segment.offset : end]

    def read(self, vaddr: int, size: int) -> bytes | None:
        """Return ``size`` bytes at a linked address; None where the file has none (bss, no PT_LOAD)."""
        for s in self.loads:
            if s.vaddr <= vaddr and vaddr + size <= s.vaddr + s.filesz:
                start = s.offset + vaddr - s.vaddr
                return self.data[start : start + size]
        return None

    def executable_at(self, vaddr: int) -> bool:
        """Whether ``vaddr`` lies in the file-backed part of an executable segment."""
        return any(s.flags & PF_X and s.vaddr <= vaddr < s.vaddr + s.filesz for s in self.loads)

    def _read_interpreter(self) -> str | None:
        for segment in self.segments:
            if segment.type != PT_INTERP:
                continue
            raw = self.segment_bytes(segment)
            text = raw.split(b"\0", 1)[0]
            if not text.startswith(b"/") or len(text) >= _PATH_MAX or len(text) == len(raw):
                raise MalformedElfError(
                    f"{self.name} names no usable program interpreter",
                    cause="PT_INTERP is not an absolute, zero-terminated path",
                    hint="build the program again",
                )
            try:
                return text.decode()
            except UnicodeDecodeError as error:
                raise MalformedElfError(
                    f"{self.name} names an interpreter that is not UTF-8",
                    hint="build the program again",
                ) from error
        return None


def _truncated(name: str, wanted: int, have: int) -> MalformedElfError:
    return MalformedElfError(
        f"{name} is truncated",
        cause=f"its headers speak of {wanted} bytes, the file has {have}",
        hint="copy or build it again",
    )


def _read_header(data: bytes, name: str) -> _Header:
    if data[:4] != b"\x7fELF":
        raise NotElfError(f"{name} is not an ELF file", cause=_describe(data), hint=_hint(data))
    if len(data) < 6:
        raise _truncated(name, EHDR.size, len(data))
    if data[4] == 1:
        raise UnsupportedElfError(
            f"{name} is a 32-bit program", hint="use a build for 64-bit x86 (x86_64)"
        )
    if data[5] == 2:
        raise UnsupportedElfError(
            f"{name} is a big-endian program", hint="use a build for 64-bit x86 (x86_64)"
        )
    if data[4] != 2 or data[5] != 1:
        raise MalformedElfError(f"{name} has a broken ELF header", hint="copy or build it again")
    if len(data) < EHDR.size:
        raise _truncated(name, EHDR.size, len(data))
    (_, e_type, machine, _, entry, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, _) = (
        EHDR.unpack_from(data)
    )
    if machine != EM_X86_64:
        raise UnsupportedElfError(
            f"{name} is built for {_MACHINES.get(machine, f'machine {machine}')}",
            hint="use a build for 64-bit x86 (x86_64)",
        )
    if e_type not in (ET_EXEC, ET_DYN):
        raise UnsupportedElfError(
            f"{name} can't be run",
            cause=f"it is {_TYPES.get(e_type, f'of ELF type {e_type}')}",
            hint="give an executable or a shared library",
        )
    if phnum and phentsize != PHDR.size:
        raise MalformedElfError(
            f"{name} has program headers of {phentsize} bytes instead of {PHDR.size}",
            hint="copy or build it again",
        )
    return _Header(e_type, entry, phoff, phnum, shoff, shnum, shentsize)


def _describe(data: bytes) -> str:
    if not data:
        return "it is empty"
    if data[:2] == b"#!":
        line = data[2:80].split(b"\n", 1)[0].strip().decode("utf-8", "replace")
        return f"it is a script for {line}"
    return "it does not start with the ELF magic number"


def _hint(data: bytes) -> str:
    if data[:2] == b"#!":
        return (
            "give the interpreter as the program and the script as its argument, in a kernlet.toml"
        )
    return "give a Linux program for x86_64"


def _read_segments(data: bytes, header: _Header, name: str) -> tuple[Segment, ...]:
    end = header.phoff + header.phnum * PHDR.size
    if end > len(data):
        raise _truncated(name, end, len(data))
    found = []
    for index in range(header.phnum):
        p_type, flags, offset, vaddr, _, filesz, memsz, align = PHDR.unpack_from(
            data, header.phoff + index * PHDR.size
        )
        found.append(Segment(p_type, flags, offset, vaddr, filesz, memsz, align))
    return tuple(found)


def _check_loads(loads: tuple[Segment, ...], size: int, name: str) -> None:
    if not loads:
        raise MalformedElfError(
            f"{name} has nothing to load", cause="no PT_LOAD", hint="copy or build it again"
        )
    previous = 0
    for s in loads:
        problem = None
        if s.filesz > s.memsz:
            problem = "a segment is larger in the file than in memory"
        elif s.end > _ADDRESS_TOP:
            problem = "a segment lies beyond the address space"
        elif s.vaddr < previous:
            problem = "segments overlap or are not in order"
        elif s.align > 1 and (s.align & (s.align - 1) or (s.vaddr - s.offset) % s.align):
            problem = "a segment is not aligned as it says"
        elif (s.vaddr - s.offset) % 4096:
            problem = "a segment does not start at its place in a page"
        if problem:
            raise MalformedElfError(
                f"{name} can't be loaded", cause=problem, hint="copy or build it again"
            )
        if s.offset + s.filesz > size:
            raise _truncated(name, s.offset + s.filesz, size)
        previous = s.end


def _find_build_id(notes: bytes, align: int) -> str | None:
    step = 8 if align == 8 else 4
    at = 0
    while at + 12 <= len(notes):
        namesz, descsz, n_type = struct.unpack_from("<III", notes, at)
        name_at = at + 12
        desc_at = (
            name_at + (namesz + step - 1) // step * step
            if step == 4
            else ((name_at + namesz + 7) // 8 * 8)
        )
        if desc_at + descsz > len(notes):
            return None
        if n_type == NT_GNU_BUILD_ID and notes[name_at : name_at + namesz] == b"GNU\0":
            return notes[desc_at : desc_at + descsz].hex()
        at = (desc_at + descsz + step - 1) // step * step
    return None
