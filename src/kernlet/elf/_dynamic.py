# SPDX-License-Identifier: Apache-2.0
"""The dynamic section (System V ABI, chapter 5; ld.so(8))."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernlet.elf._errors import MalformedElfError
from kernlet.elf.constants import (
    DF_1_NODEFLIB,
    DT_FLAGS,
    DT_FLAGS_1,
    DT_NEEDED,
    DT_NULL,
    DT_RPATH,
    DT_RUNPATH,
    DT_SONAME,
    DT_STRSZ,
    DT_STRTAB,
)

if TYPE_CHECKING:
    from kernlet.elf._file import ElfFile

__all__ = ["Dynamic", "read_dynamic"]

_NAME_MAX = 4096


@dataclass(frozen=True, slots=True)
class Dynamic:
    """What the dynamic section says.

    Search paths are split at colons, tokens such as $ORIGIN
    not yet replaced.

    ``values`` maps a tag to its first value, for the tags that hold addresses and sizes.
    """

    needed: tuple[str, ...]
    soname: str | None
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]
    flags: int
    flags_1: int
    values: dict[int, int]

    @property
    def no_default_libraries(self) -> bool:
        """Whether the loader must skip its cache and default directories (DF_1_NODEFLIB)."""
        return bool(self.flags_1 & DF_1_NODEFLIB)


def read_dynamic(elf: ElfFile, raw: bytes) -> Dynamic:
    """Parse the bytes of PT_DYNAMIC. Raises MalformedElfError."""
    needed_at: list[int] = []
    values: dict[int, int] = {}
    for tag, value in struct.iter_unpack("<qQ", raw[: len(raw) // 16 * 16]):
        if tag == DT_NULL:
            break
        if tag == DT_NEEDED:
            needed_at.append(value)
        else:
            values.setdefault(tag, value)
    names = _Names(elf, values)
    return Dynamic(
        needed=tuple(names.get(at) for at in needed_at),
        soname=names.get(values[DT_SONAME]) if DT_SONAME in values else None,
        rpath=names.paths(values.get(DT_RPATH)),
        runpath=names.paths(values.get(DT_RUNPATH)),
        flags=values.get(DT_FLAGS, 0),
        flags_1=values.get(DT_FLAGS_1, 0),
        values=values,
    )


class _Names:
    """The dynamic string table; nothing is read from the file before it is asked for."""

    def __init__(self, elf: ElfFile, values: dict[int, int]) -> None:
        self._elf = elf
        self._start = values.get(DT_STRTAB)
        self._size = values.get(DT_STRSZ, 0)

    def get(self, offset: int) -> str:
        text = None
        if self._start is not None and offset < self._size:
            room = min(self._size - offset, _NAME_MAX)
            text = self._elf.read(self._start + offset, room)
        if text is None or b"\0" not in text:
            raise MalformedElfError(
                f"{self._elf.name} has a broken dynamic section",
                cause="a name lies outside of its string table",
                hint="copy or build it again",
            )
        return text.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")

    def paths(self, offset: int | None) -> tuple[str, ...]:
        if offset is None:
            return ()
        return tuple(self.get(offset).split(":"))
