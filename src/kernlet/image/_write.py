# SPDX-License-Identifier: Apache-2.0
"""Writes image files: the linked library OS, the root file system and the notes, in one ELF file.

The order in the file: headers, the library OS's segments, the root file system, the notes, and last what is not loaded
(symbols). The offset of everything that is loaded agrees with its address modulo 4 KiB, so that a monitor can map it.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ._errors import ImageFormatError, ImageWriteError
from ._file import (
    ELF_HEADER,
    NOTE_ABI,
    NOTE_MANIFEST,
    NOTE_NAME,
    NOTE_PVH_ENTRY,
    PROGRAM_HEADER,
    Segment,
)
from ._manifest import Manifest, manifest_to_json

__all__ = ["ImageLayout", "write_image"]

_PAGE = 4096
_PT_LOAD, _PT_NOTE, _PT_GNU_STACK = 1, 4, 0x6474E551
_PF_W, _PF_R = 2, 4
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_SHF_ALLOC, _SHT_SYMTAB, _SHT_NOBITS = 2, 2, 8
_HEADER_ROOM = _PAGE
_IMAGE_HEADER_MAGIC = struct.pack("<Q", 0x726461656874696D)  # KL_HEADER_MAGIC
_IMAGE_HEADER_ROOTFS = (
    56  # offset of rootfs_pa and rootfs_bytes in struct kl_image_header (abi/kl_boot.h)
)


@dataclass(frozen=True)
class ImageLayout:
    """What of the memory layout (abi/kl_layout.h) an image depends on."""

    abi_version: int
    base_va: int
    direct_va: int
    header_pa: int
    """Where struct kl_image_header is."""


class _Linked:
    """The linker's output: trusted, since the builder made it a moment ago."""

    def __init__(self, content: bytes) -> None:
        self.data = data = bytearray(content)
        fields = ELF_HEADER.unpack_from(data)
        self.ident, self.kind, self.machine, self.version, self.entry = fields[:5]
        self.flags = fields[7]
        table, sections_at, count, sections_count = fields[5], fields[6], fields[10], fields[12]
        self.names_index = fields[13]
        self.segments = []
        for index in range(count):
            kind, flags, offset, vaddr, paddr, filled, whole, _ = PROGRAM_HEADER.unpack_from(
                data, table + index * PROGRAM_HEADER.size
            )
            if kind == _PT_LOAD and whole:
                self.segments.append(Segment(flags, offset, vaddr, paddr, filled, whole))
        self.sections = [
            list(_SECTION.unpack_from(data, sections_at + index * _SECTION.size))
            for index in range(sections_count)
        ]

    def symbol(self, wanted: bytes) -> int:
        """Return a symbol's value, 0 if there is none of this name."""
        for section in self.sections:
            if section[1] != _SHT_SYMTAB:
                continue
            names_at = self.sections[section[6]][4]
            for at in range(section[4], section[4] + section[5], _SYMBOL.size):
                name, _, _, index, value, _ = _SYMBOL.unpack_from(self.data, at)
                start = names_at + name
                if index and self.data[start : start + len(wanted) + 1] == wanted + b"\0":
                    return int(value)
        return 0


def write_image(
    output: Path,
    kernel: Path,
    rootfs: Path | None,
    manifest: Manifest,
    layout: ImageLayout,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write an image to ``output``, whole or not at all; return its size in bytes.

    ``kernel`` is the linked library OS, ``rootfs`` an EROFS image of whole pages. ``progress(done, all)`` counts bytes.
    Raises ImageWriteError.
    """
    try:
        linked = _Linked(kernel.read_bytes())
        handle, temporary = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    except OSError as error:
        raise ImageWriteError(f"can't write {output}", cause=error.strerror) from error
    except struct.error as error:
        raise ImageFormatError(f"{kernel} is not a linked library OS") from error
    try:
        with os.fdopen(handle, "wb") as file:
            size = _write(file, linked, rootfs, manifest, layout, progress)
        Path(temporary).chmod(0o755 & ~_umask())
        Path(temporary).replace(output)
    except BaseException as error:
        with suppress(OSError):
            Path(temporary).unlink()
        if isinstance(error, OSError):
            raise ImageWriteError(
                f"can't write {output}",
                cause=error.strerror,
                hint="check the space and the permissions there",
            ) from error
        raise
    return size


def _umask() -> int:
    """Return the process's umask. It can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _write(
    file: BinaryIO,
    linked: _Linked,
    rootfs: Path | None,
    manifest: Manifest,
    layout: ImageLayout,
    progress: Callable[[int, int], None] | None,
) -> int:
    rootfs_bytes = rootfs.stat().st_size if rootfs is not None else 0
    placed = _place(linked)
    end_pa = _align(max(segment.paddr + segment.memory_bytes for segment in placed))
    end = _align(max(segment.offset + segment.file_bytes for segment in placed))
    rootfs_at = Segment(_PF_R, end, layout.direct_va + end_pa, end_pa, rootfs_bytes, rootfs_bytes)
    notes = _notes(linked, manifest, layout, rootfs_at)
    notes_offset = end + rootfs_bytes
    segments = [*placed, rootfs_at] if rootfs_bytes else placed

    _fill_header(linked, rootfs_at, layout)
    for old, new in zip(linked.segments, placed, strict=True):
        file.seek(new.offset)
        file.write(linked.data[old.offset : old.offset + old.file_bytes])
    if rootfs is not None:
        file.seek(end)
        _copy(rootfs, file, rootfs_bytes, progress)
    file.seek(notes_offset)
    file.write(notes)
    sections_at = _write_sections(file, linked, placed)
    size = file.tell()
    file.seek(0)
    file.write(_headers(linked, segments, (notes_offset, len(notes)), sections_at))
    return size


def _fill_header(linked: _Linked, rootfs: Segment, layout: ImageLayout) -> None:
    """Tell the guest's own boot code where the root file system is."""
    for segment in linked.segments:
        at = segment.offset + layout.header_pa - segment.paddr
        if segment.paddr <= layout.header_pa < segment.paddr + segment.file_bytes:
            if not linked.data.startswith(_IMAGE_HEADER_MAGIC, at):
                break
            place = (rootfs.paddr, rootfs.file_bytes) if rootfs.file_bytes else (0, 0)
            struct.pack_into("<QQ", linked.data, at + _IMAGE_HEADER_ROOTFS, *place)
            return
    raise ImageFormatError("the library OS has no header at its place")


def _align(value: int, to: int = _PAGE) -> int:
    return (value + to - 1) & ~(to - 1)


def _place(linked: _Linked) -> list[Segment]:
    """Return the library OS's segments with their offsets in the new file."""
    placed = []
    offset = _HEADER_ROOM
    for segment in linked.segments:
        offset = _align(offset) + segment.paddr % _PAGE
        placed.append(segment._replace(offset=offset))
        offset += segment.file_bytes
    return placed


def _notes(linked: _Linked, manifest: Manifest, layout: ImageLayout, rootfs: Segment) -> bytes:
    """Return one run of notes; the entry for PVH comes first, since some loaders look at the first note only."""
    notes = b""
    entry = linked.symbol(b"kl_pvh_start")
    if entry:
        notes += _note(b"Xen\0", NOTE_PVH_ENTRY, struct.pack("<I", entry - layout.base_va))
    rootfs_pa = rootfs.paddr if rootfs.file_bytes else 0
    notes += _note(
        NOTE_NAME,
        NOTE_ABI,
        struct.pack("<IIQQ", layout.abi_version, 0, rootfs_pa, rootfs.file_bytes),
    )
    return notes + _note(NOTE_NAME, NOTE_MANIFEST, manifest_to_json(manifest))


def _note(name: bytes, kind: int, desc: bytes) -> bytes:
    return struct.pack("<III", len(name), len(desc), kind) + name + desc + bytes(-len(desc) % 4)


def _copy(
    source: Path, file: BinaryIO, size: int, progress: Callable[[int, int], None] | None
) -> None:
    done = 0
    with source.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            file.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, size)
    if done != size:
        raise ImageWriteError(
            "the root file system changed while it was copied", hint="build again"
        )


def _write_sections(file: BinaryIO, linked: _Linked, placed: list[Segment]) -> int:
    """Write what is not loaded and the table of sections; return the table's offset."""
    for section in linked.sections:
        kind, flags, address, offset, size, alignment = (section[i] for i in (1, 2, 3, 4, 5, 8))
        if kind == 0:
            continue
        if flags & _SHF_ALLOC:
            for segment in placed:
                if segment.vaddr <= address < segment.vaddr + segment.memory_bytes:
                    filled = min(address - segment.vaddr, segment.file_bytes)
                    section[4] = segment.offset + filled
            continue
        if kind != _SHT_NOBITS:
            file.seek(_align(file.tell(), max(alignment, 1)))
            section[4] = file.tell()
            file.write(linked.data[offset : offset + size])
    file.seek(_align(file.tell(), 8))
    table = file.tell()
    for section in linked.sections:
        file.write(_SECTION.pack(*section))
    return table


def _headers(
    linked: _Linked, segments: list[Segment], notes: tuple[int, int], sections_at: int
) -> bytes:
    rows = [
        PROGRAM_HEADER.pack(
            _PT_LOAD, s.flags, s.offset, s.vaddr, s.paddr, s.file_bytes, s.memory_bytes, _PAGE
        )
        for s in segments
    ]
    rows.append(PROGRAM_HEADER.pack(_PT_NOTE, _PF_R, notes[0], 0, 0, notes[1], 0, 4))
    rows.append(PROGRAM_HEADER.pack(_PT_GNU_STACK, _PF_R | _PF_W, 0, 0, 0, 0, 0, 16))
    header = ELF_HEADER.pack(
        linked.ident,
        linked.kind,
        linked.machine,
        linked.version,
        linked.entry,
        ELF_HEADER.size,
        sections_at,
        linked.flags,
        ELF_HEADER.size,
        PROGRAM_HEADER.size,
        len(rows),
        _SECTION.size,
        len(linked.sections),
        linked.names_index,
    )
    data = header + b"".join(rows)
    if len(data) > _HEADER_ROOM:
        raise ImageFormatError("the library OS has too many segments")
    return data
