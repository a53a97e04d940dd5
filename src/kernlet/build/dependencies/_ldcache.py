# SPDX-License-Identifier: Apache-2.0
"""/etc/ld.so.cache: what ldconfig(8) found, as glibc's loader reads it (format "glibc-ld.so.cache1.1").

Sources: ld.so(8), ldconfig(8), and the documented layout of the file: a header, an array of entries that point into a
string table, and extensions, of which one lists the names of glibc-hwcaps subdirectories.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

__all__ = ["CacheEntry", "parse_cache", "render_cache"]

_OLD_MAGIC = b"ld.so-1.7.0\0"
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
_EXTENSION_MAGIC = 0xEAA42174
_TAG_HWCAPS = 1
_X86_64_LIB64 = 0x0303
_HWCAP_EXTENSION = 1 << 62
_LITTLE_ENDIAN = 2
_ENTRIES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A library in the cache. ``hwcaps`` names the CPU level it needs ("x86-64-v3"), "" for any."""

    name: str
    path: str
    hwcaps: str = ""


def parse_cache(data: bytes) -> list[CacheEntry]:
    """Return the x86-64 entries, in the file's order; an empty list if the file is not understood."""
    if data.startswith(_OLD_MAGIC):
        # An old-format table precedes the new one: 12-byte entries, then alignment to 8.
        (count,) = struct.unpack_from("<I", data.ljust(16, b"\0"), 12)
        data = data[(16 + 12 * min(count, _ENTRIES_MAX) + 7) // 8 * 8 :]
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        return []
    _, count, _, endian, extensions_at = _HEADER.unpack_from(data)
    if endian & 3 not in (0, _LITTLE_ENDIAN) or _HEADER.size + count * _ENTRY.size > len(data):
        return []
    levels = _levels(data, extensions_at)
    found = []
    for index in range(count):
        flags, key, value, _, hwcap = _ENTRY.unpack_from(data, _HEADER.size + index * _ENTRY.size)
        if flags != _X86_64_LIB64:
            continue
        level = ""
        if hwcap & _HWCAP_EXTENSION:
            level = levels.get(hwcap & 0xFFFFFFFF, "?")
        elif hwcap:
            level = "?"  # legacy hardware capabilities: loaders of today ignore such entries
        name, path = _text(data, key), _text(data, value)
        if name and path.startswith("/") and level != "?":
            found.append(CacheEntry(name, path, level))
    return found


def _levels(data: bytes, at: int) -> dict[int, str]:
    """Return the names of the glibc-hwcaps subdirectories by their index."""
    if not at or at + 8 > len(data):
        return {}
    magic, count = struct.unpack_from("<II", data, at)
    if magic != _EXTENSION_MAGIC or at + 8 + count * 16 > len(data):
        return {}
    for index in range(count):
        tag, _, offset, size = struct.unpack_from("<IIII", data, at + 8 + index * 16)
        if tag == _TAG_HWCAPS and offset + size <= len(data):
            places = struct.unpack_from(f"<{size // 4}I", data, offset)
            return {number: _text(data, place) for number, place in enumerate(places)}
    return {}


def _text(data: bytes, at: int) -> str:
    end = data.find(b"\0", at, at + 4096)
    return "" if end < 0 else data[at:end].decode("utf-8", "surrogateescape")


def render_cache(entries: list[CacheEntry]) -> bytes:
    """Make a cache file that lists ``entries`` without CPU levels; the loader finds each with one look-up.

    The loader searches by halves, in descending order of its own comparison, so the order here must be the same.
    """
    ordered = sorted(
        (e for e in entries if not e.hwcaps), key=lambda e: (_order(e.name), e.path), reverse=True
    )
    strings = bytearray()
    places: dict[str, int] = {}
    base = _HEADER.size + len(ordered) * _ENTRY.size
    for entry in ordered:
        for text in (entry.name, entry.path):
            if text not in places:
                places[text] = base + len(strings)
                strings += text.encode("utf-8", "surrogateescape") + b"\0"
    out = bytearray(_HEADER.pack(_MAGIC, len(ordered), len(strings), _LITTLE_ENDIAN, 0))
    for entry in ordered:
        out += _ENTRY.pack(_X86_64_LIB64, places[entry.name], places[entry.path], 0, 0)
    return bytes(out + strings)


_PIECE = re.compile(r"[0-9]+|[^0-9]")


def _order(name: str) -> list[tuple[int, int]]:
    """Return a key that sorts like the loader compares: digits as numbers, and any number above any character."""
    return [(1, int(p)) if p[0] in "0123456789" else (0, ord(p[0])) for p in _PIECE.findall(name)]
