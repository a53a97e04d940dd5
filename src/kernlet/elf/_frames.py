# SPDX-License-Identifier: Apache-2.0
"""Function ranges and landing pads from .eh_frame and its exception tables.

Source: LSB Core 5.0, section 10.6 (.eh_frame); the Itanium C++ ABI's exception tables. The
section is found through PT_GNU_EH_FRAME, so stripped files work too, or by name in static
programs that have no such header. Anything that can't be understood ends the reading: what was
read before it stays valid.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from kernlet.elf._file import ElfFile
from kernlet.elf._tables import section_address
from kernlet.elf.constants import PT_GNU_EH_FRAME

__all__ = ["Frame", "read_frames"]

_OMIT = 0xFF
_FORMATS = {0x00: ("<Q", 8), 0x02: ("<H", 2), 0x03: ("<I", 4), 0x04: ("<Q", 8)}
_FORMATS |= {0x0A: ("<h", 2), 0x0B: ("<i", 4), 0x0C: ("<q", 8)}
_MASK = (1 << 64) - 1
_LANDING_PADS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Frame:
    """One function (or part of one) that an unwinder knows: [start, end), and where exceptions may land in it."""

    start: int
    end: int
    landing_pads: tuple[int, ...] = ()
    signal: bool = False


class _BadFrameError(Exception):
    """Ends the parsing of one table."""


class _Reader:
    """A cursor over bytes that start at a known address."""

    def __init__(self, data: bytes, address: int) -> None:
        self.data = data
        self.address = address
        self.at = 0

    def unsigned(self, form: str, size: int) -> int:
        if self.at + size > len(self.data):
            raise _BadFrameError
        value = int(struct.unpack_from(form, self.data, self.at)[0])
        self.at += size
        return value

    def byte(self) -> int:
        return self.unsigned("<B", 1)

    def leb(self, signed: bool = False) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
            if shift > 63:
                raise _BadFrameError
        if signed and byte & 0x40:
            value -= 1 << shift
        return value

    def pointer(self, encoding: int) -> int:
        """Read an encoded pointer (DW_EH_PE_*); a zero stays zero.

        Indirect ones give the slot's address.
        """
        here = self.address + self.at
        kind = encoding & 0x0F
        if kind in (0x01, 0x09):
            value = self.leb(signed=kind == 0x09)
        elif kind in _FORMATS:
            value = self.unsigned(*_FORMATS[kind])
        else:
            raise _BadFrameError
        base = encoding & 0x70
        if base == 0x10 and value:
            value += here
        elif base not in (0x00, 0x10):
            raise _BadFrameError
        return value & _MASK


@dataclass(frozen=True, slots=True)
class _Cie:
    pointer_encoding: int
    lsda_encoding: int
    augmented: bool
    signal: bool


def read_frames(elf: ElfFile) -> list[Frame]:
    """Return the frames of ``elf``, sorted by address.

    An empty list if it has none or they can't be read.
    """
    location = _eh_frame_address(elf)
    if location is None:
        return []
    segment = next((s for s in elf.loads if s.vaddr <= location < s.vaddr + s.filesz), None)
    if segment is None:
        return []
    skip = location - segment.vaddr
    data = elf.data[segment.offset + skip : segment.offset + segment.filesz]
    frames: list[Frame] = []
    cies: dict[int, _Cie | None] = {}
    at = 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("<I", data, at)
        end = at + 4 + length
        if length == 0 or length == 0xFFFFFFFF or length < 4 or end > len(data):
            break
        (back,) = struct.unpack_from("<I", data, at + 4)
        if back:
            frame = _read_fde(elf, data, location, at, end, at + 4 - back, cies)
            if frame is not None:
                frames.append(frame)
        at = end
    frames.sort(key=lambda f: (f.start, f.end))
    return frames


def _eh_frame_address(elf: ElfFile) -> int | None:
    for segment in elf.segments:
        if segment.type == PT_GNU_EH_FRAME:
            raw = elf.read(segment.vaddr, min(segment.filesz, 64))
            if raw is None or len(raw) < 8 or raw[0] != 1:
                return None
            reader = _Reader(raw, segment.vaddr)
            reader.at = 4
            try:
                return reader.pointer(raw[1])
            except _BadFrameError:
                return None
    return section_address(elf, ".eh_frame")


def _read_cie(data: bytes, at: int) -> _Cie | None:
    if at < 0 or at + 9 > len(data):
        return None
    (length, marker) = struct.unpack_from("<II", data, at)
    if marker != 0 or at + 4 + length > len(data):
        return None
    reader = _Reader(data[: at + 4 + length], 0)
    reader.at = at + 8
    try:
        version = reader.byte()
        end = data.index(b"\0", reader.at, at + 4 + length)
        augmentation = data[reader.at : end]
        reader.at = end + 1
        if version not in (1, 3):
            return None
        reader.leb()
        reader.leb(signed=True)
        if version == 1:
            reader.byte()
        else:
            reader.leb()
        return _augmentation(reader, augmentation)
    except (_BadFrameError, ValueError):
        return None


def _augmentation(reader: _Reader, letters: bytes) -> _Cie:
    pointer, lsda, signal = 0x00, _OMIT, False
    if not letters.startswith(b"z"):
        return _Cie(pointer, lsda, augmented=False, signal=False)
    reader.leb()
    for letter in letters[1:]:
        if letter == ord("R"):
            pointer = reader.byte()
        elif letter == ord("L"):
            lsda = reader.byte()
        elif letter == ord("P"):
            encoding = reader.byte()
            reader.pointer(encoding & 0x7F)
        elif letter == ord("S"):
            signal = True
        else:
            break
    return _Cie(pointer, lsda, augmented=True, signal=signal)


def _read_fde(
    elf: ElfFile,
    data: bytes,
    base: int,
    at: int,
    end: int,
    cie_at: int,
    cies: dict[int, _Cie | None],
) -> Frame | None:
    if cie_at not in cies:
        cies[cie_at] = _read_cie(data, cie_at)
    cie = cies[cie_at]
    if cie is None:
        return None
    if cie.pointer_encoding == 0x1B and cie.lsda_encoding == _OMIT and at + 16 <= end:
        # The usual case, without an object for the cursor: 4-byte self-relative start, 4-byte
        # length.
        offset, size = struct.unpack_from("<iI", data, at + 8)
        start = base + at + 8 + offset
        return Frame(start, start + size, (), cie.signal) if size else None
    reader = _Reader(data[at:end], base + at)
    reader.at = 8
    try:
        start = reader.pointer(cie.pointer_encoding)
        size = reader.pointer(cie.pointer_encoding & 0x0F)
        lsda = 0
        if cie.augmented:
            reader.leb()
            if cie.lsda_encoding != _OMIT:
                lsda = reader.pointer(cie.lsda_encoding)
    except _BadFrameError:
        return None
    if not size:
        return None
    pads = _landing_pads(elf, lsda, start) if lsda else ()
    return Frame(start, start + size, pads, cie.signal)


def _landing_pads(elf: ElfFile, lsda: int, start: int) -> tuple[int, ...]:
    """Read the call-site table of one exception table.

    Where it is broken, what was understood so far.
    """
    segment = next((s for s in elf.loads if s.vaddr <= lsda < s.vaddr + s.filesz), None)
    if segment is None:
        return ()
    first = segment.offset + lsda - segment.vaddr
    reader = _Reader(elf.data[first : segment.offset + segment.filesz][: 1 << 20], lsda)
    pads: set[int] = set()
    try:
        base = start
        encoding = reader.byte()
        if encoding != _OMIT:
            base = reader.pointer(encoding)
        if reader.byte() != _OMIT:
            reader.leb()
        encoding = reader.byte()
        end = reader.leb()
        end += reader.at
        while reader.at < end and len(pads) < _LANDING_PADS_MAX:
            reader.pointer(encoding)
            reader.pointer(encoding)
            pad = reader.pointer(encoding)
            reader.leb()
            if pad:
                pads.add(base + pad)
    except _BadFrameError:
        pass
    return tuple(sorted(pads))
