# SPDX-License-Identifier: Apache-2.0
"""Reads image files: the ELF headers and the notes that make an ELF file a kernlet image.

Every number from the file is checked against the file's size before it is used. Imports little: it is part of every
boot.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import NamedTuple

from ._errors import ImageFormatError
from ._manifest import MANIFEST_BYTES_MAX, Manifest, manifest_from_json

__all__ = [
    "ELF_HEADER",
    "NOTE_ABI",
    "NOTE_MANIFEST",
    "NOTE_NAME",
    "NOTE_PVH_ENTRY",
    "PROGRAM_HEADER",
    "ImageInfo",
    "Segment",
    "read_image",
    "read_manifest",
]

ELF_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
NOTE_NAME = b"kernlet\0"
NOTE_ABI, NOTE_MANIFEST, NOTE_PVH_ENTRY = 1, 2, 18
_NOTE = struct.Struct("<III")
_ABI = struct.Struct("<IIQQ")
_PT_LOAD, _PT_NOTE = 1, 4
_MACHINE_X86_64 = 62
_NOTES_BYTES_MAX = MANIFEST_BYTES_MAX + (1 << 16)
_SEGMENTS_MAX = 64
_BUILD_HINT = "make one with 'kernlet build'"


class Segment(NamedTuple):
    """A loadable part of an image; offsets and sizes in bytes, ``flags`` as in ELF (1 execute, 2 write, 4 read)."""

    flags: int
    offset: int
    vaddr: int
    paddr: int
    file_bytes: int
    memory_bytes: int


class ImageInfo(NamedTuple):
    """The headers of an image. ``pvh_entry``: 32-bit physical address, 0 without one; ``end_pa``: page-aligned."""

    entry_va: int
    segments: tuple[Segment, ...]
    abi_version: int
    rootfs_pa: int
    rootfs_bytes: int
    rootfs_offset: int
    pvh_entry: int
    manifest: Manifest

    @property
    def end_pa(self) -> int:
        """Return the first physical address behind the image, page-aligned."""
        return max(segment.paddr + segment.memory_bytes for segment in self.segments) + 4095 & ~4095


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Return what the image at ``path`` says of itself. ImageFormatError if it is not a complete image; OSError."""
    return read_image(path).manifest


def read_image(path: str | os.PathLike[str]) -> ImageInfo:
    """Return the headers of the image at ``path``. ImageFormatError if it is not a complete image; OSError."""
    name = os.fspath(path)
    with open(name, "rb", buffering=0, opener=_open_at_once) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            return _read(file.fileno(), size)
        except _BadImage as bad:
            raise ImageFormatError(f"{name} {bad}", hint=_BUILD_HINT) from None
        except ImageFormatError as error:
            raise ImageFormatError(
                f"{name}: {error.message}", cause=error.cause, hint=error.hint
            ) from error


def _open_at_once(name: str, flags: int) -> int:
    """Open without waiting for somebody who writes into a FIFO."""
    return os.open(name, flags | os.O_NONBLOCK)


class _BadImage(Exception):  # noqa: N818 - never leaves this file
    """What is wrong, as the end of a sentence about the file."""


def _part(descriptor: int, offset: int, length: int, size: int) -> bytes:
    """Return exactly these bytes of the file, or complain that it ends too early."""
    if offset > size or length > size - offset:
        raise _BadImage("is truncated")
    data = os.pread(descriptor, length, offset)
    if len(data) != length:
        raise _BadImage("is truncated")
    return data


def _read(descriptor: int, size: int) -> ImageInfo:
    try:
        head = os.pread(descriptor, ELF_HEADER.size, 0)
    except OSError as error:
        if error.errno != errno.ESPIPE:
            raise
        head = b""  # a FIFO or a terminal
    if not head.startswith(b"\x7fELF\x02\x01") or len(head) < ELF_HEADER.size:
        raise _BadImage("is not a kernlet image")
    (_, _, machine, _, entry, at, _, _, _, entry_bytes, count, _, _, _) = ELF_HEADER.unpack(head)
    if (
        machine != _MACHINE_X86_64
        or entry_bytes != PROGRAM_HEADER.size
        or not 0 < count <= _SEGMENTS_MAX
    ):
        raise _BadImage("is not a kernlet image")
    table = _part(descriptor, at, entry_bytes * count, size)
    segments: list[Segment] = []
    notes: list[tuple[bytes, int, bytes]] = []
    for kind, flags, offset, vaddr, paddr, filled, whole, _ in PROGRAM_HEADER.iter_unpack(table):
        if kind == _PT_LOAD:
            segments.append(_checked(Segment(flags, offset, vaddr, paddr, filled, whole), size))
        elif kind == _PT_NOTE:
            if filled > _NOTES_BYTES_MAX:
                raise _BadImage("has notes of an absurd size")
            notes += _split_notes(_part(descriptor, offset, filled, size))
    return _from_notes(entry, tuple(segments), notes)


def _checked(segment: Segment, size: int) -> Segment:
    if segment.offset > size or segment.file_bytes > size - segment.offset:
        raise _BadImage("is truncated")
    if segment.file_bytes > segment.memory_bytes or segment.paddr + segment.memory_bytes > 1 << 48:
        raise _BadImage("is damaged: a segment has impossible sizes")
    return segment


def _split_notes(data: bytes) -> list[tuple[bytes, int, bytes]]:
    """Return (name, type, description) of each note (ELF specification, "Note Section"; 4-byte alignment)."""
    notes = []
    position = 0
    while position + _NOTE.size <= len(data):
        name_bytes, desc_bytes, kind = _NOTE.unpack_from(data, position)
        name_at = position + _NOTE.size
        desc_at = name_at + (name_bytes + 3 & ~3)
        end = desc_at + desc_bytes
        if end > len(data):
            raise _BadImage("is damaged: a note ends outside of the notes")
        notes.append((data[name_at : name_at + name_bytes], kind, data[desc_at:end]))
        position = end + 3 & ~3
    return notes


def _from_notes(
    entry: int, segments: tuple[Segment, ...], notes: list[tuple[bytes, int, bytes]]
) -> ImageInfo:
    pvh = [desc for name, kind, desc in notes if (name, kind) == (b"Xen\0", NOTE_PVH_ENTRY)]
    own = {kind: desc for name, kind, desc in notes if name == NOTE_NAME}
    if NOTE_ABI not in own or NOTE_MANIFEST not in own or not segments:
        raise _BadImage("is not a kernlet image")
    if len(own[NOTE_ABI]) != _ABI.size or any(len(desc) != 4 for desc in pvh):
        raise _BadImage("is damaged: a note has the wrong size")
    abi, _, rootfs_pa, rootfs_bytes = _ABI.unpack(own[NOTE_ABI])
    rootfs_offset = 0
    if rootfs_bytes:
        for segment in segments:
            if segment.paddr == rootfs_pa and segment.file_bytes == rootfs_bytes:
                rootfs_offset = segment.offset
        if rootfs_offset == 0:
            raise _BadImage("is damaged: its root file system is not where its note says")
    return ImageInfo(
        entry_va=entry,
        segments=segments,
        abi_version=abi,
        rootfs_pa=rootfs_pa,
        rootfs_bytes=rootfs_bytes,
        rootfs_offset=rootfs_offset,
        pvh_entry=int.from_bytes(pvh[0], "little") if pvh else 0,
        manifest=manifest_from_json(own[NOTE_MANIFEST]),
    )
