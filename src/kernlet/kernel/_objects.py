# SPDX-License-Identifier: Apache-2.0
"""Global symbols of the compiler's object files (ELF64, little endian, relocatable)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from ._errors import KernelError

__all__ = ["ObjectSymbols", "read_symbols"]

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_SHT_SYMTAB = 2
_STB_GLOBAL, _STB_WEAK = 1, 2
_SHN_UNDEF = 0


@dataclass(frozen=True)
class ObjectSymbols:
    """Names of the global symbols that an object defines, needs, and would use if they were there (weak)."""

    defined: frozenset[str]
    undefined: frozenset[str]
    weak: frozenset[str]


def read_symbols(path: Path) -> ObjectSymbols:
    """Read the symbol table of an object file. KernelError when it is not one."""
    data = path.read_bytes()
    try:
        return _read(data)
    except (struct.error, IndexError, ValueError, UnicodeDecodeError) as error:
        raise KernelError(f"{path} is not an object file", cause=str(error)) from error


def _read(data: bytes) -> ObjectSymbols:
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not ELF64")
    (offset,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    sections = [_SECTION.unpack_from(data, offset + index * size) for index in range(count)]
    groups: tuple[set[str], set[str], set[str]] = (set(), set(), set())
    for section in sections:
        if section[1] != _SHT_SYMTAB:
            continue
        strings = sections[section[6]]
        names = data[strings[4] : strings[4] + strings[5]]
        for position in range(section[4], section[4] + section[5], _SYMBOL.size):
            name_at, info, _other, index, _value, _size = _SYMBOL.unpack_from(data, position)
            binding = info >> 4
            if binding not in (_STB_GLOBAL, _STB_WEAK):
                continue
            name = names[name_at : names.index(b"\0", name_at)].decode()
            if index != _SHN_UNDEF:
                groups[0].add(name)
            else:
                groups[1 if binding == _STB_GLOBAL else 2].add(name)
    return ObjectSymbols(*map(frozenset, groups))
