# SPDX-License-Identifier: Apache-2.0
"""Sets the owners and permissions of files in an EROFS image.

``mkfs.erofs`` takes them from the files that it copies, where only root can make files for others, or read what nobody
may read. Written into the finished image they need no rights, and every user builds the same bytes. On-disk format:
Linux, Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ._errors import RootfsError

__all__ = ["Attributes", "set_attributes"]

_BLOCK = 4096
_SUPERBLOCK = 1024
_MAGIC = 0xE0F5E1E2
_CHECKSUM_FEATURE = 1
_COMPACT_BYTES, _EXTENDED_BYTES = 32, 64
_FLAT_PLAIN, _FLAT_INLINE = 0, 2
_DIRENT = struct.Struct("<QHBB")
_DIRECTORY = 2  # of a directory entry's type
_PERMISSIONS = 0o7777
_DEPTH_MAX = 512


class Attributes(NamedTuple):
    """Permission bits and owner of one file."""

    mode: int
    uid: int
    gid: int


def set_attributes(path: Path, wanted: Mapping[str, Attributes]) -> None:
    """Set the attributes of each guest path in ``wanted``. RootfsError if one is not there, or the image is odd."""
    image = bytearray(path.read_bytes())
    try:
        missing = _Image(image).apply(wanted)
    except (struct.error, IndexError, ValueError) as error:
        raise RootfsError("mkfs.erofs made something unexpected", cause=str(error)) from error
    if missing:
        raise RootfsError(f"{min(missing)} is not in the root file system, but has attributes")
    path.write_bytes(image)


class _Image:
    def __init__(self, data: bytearray) -> None:
        self._data = data
        magic, _, features, bits = struct.unpack_from("<IIIB", data, _SUPERBLOCK)
        if magic != _MAGIC or 1 << bits != _BLOCK:
            raise ValueError("no EROFS with blocks of 4 KiB")
        self._has_checksum = bool(features & _CHECKSUM_FEATURE)
        (self._root,) = struct.unpack_from("<H", data, _SUPERBLOCK + 14)
        (self._meta,) = struct.unpack_from("<I", data, _SUPERBLOCK + 40)

    def apply(self, wanted: Mapping[str, Attributes]) -> set[str]:
        """Set the attributes; return the paths that are not there."""
        left = set(wanted)
        for path, inode in self._walk("", self._root, 0):
            name = path or "/"
            if name in wanted:
                self._set(inode, wanted[name])
                left.discard(name)
        if self._has_checksum:
            struct.pack_into("<I", self._data, _SUPERBLOCK + 4, 0)
            checksum = _crc32c(self._data[_SUPERBLOCK:_BLOCK])
            struct.pack_into("<I", self._data, _SUPERBLOCK + 4, checksum)
        return left

    def _inode(self, number: int) -> int:
        return int(self._meta) * _BLOCK + number * 32

    def _walk(self, path: str, number: int, depth: int) -> Iterator[tuple[str, int]]:
        if depth > _DEPTH_MAX:
            raise ValueError("directories are too deep")
        yield path, self._inode(number)
        for name, child, kind in self._entries(self._inode(number)):
            if name in (b".", b".."):
                continue
            inner = f"{path}/{name.decode('utf-8', 'surrogateescape')}"
            if kind == _DIRECTORY:
                yield from self._walk(inner, child, depth + 1)
            else:
                yield inner, self._inode(child)

    def _entries(self, inode: int) -> Iterator[tuple[bytes, int, int]]:
        """Yield (name, inode number, type) of a directory; each of its blocks begins with the records of its names."""
        content = self._content(inode)
        for start in range(0, len(content), _BLOCK):
            block = content[start : start + _BLOCK]
            count = _DIRENT.unpack_from(block)[1] // _DIRENT.size
            records = [_DIRENT.unpack_from(block, index * _DIRENT.size) for index in range(count)]
            ends = [record[1] for record in records[1:]] + [len(block)]
            for (child, name_at, kind, _), end in zip(records, ends, strict=True):
                yield block[name_at:end].rstrip(b"\0"), child, kind

    def _content(self, inode: int) -> bytes:
        format_, xattrs, _ = struct.unpack_from("<HHH", self._data, inode)
        extended, layout = format_ & 1, format_ >> 1 & 7
        (size,) = struct.unpack_from("<Q" if extended else "<I", self._data, inode + 8)
        (block,) = struct.unpack_from("<I", self._data, inode + 16)
        if layout == _FLAT_PLAIN:
            return bytes(self._data[block * _BLOCK : block * _BLOCK + size])
        if layout != _FLAT_INLINE:
            raise ValueError(f"a directory of layout {layout}")
        whole = size // _BLOCK * _BLOCK
        tail = inode + (_EXTENDED_BYTES if extended else _COMPACT_BYTES)
        tail += 12 + (xattrs - 1) * 4 if xattrs else 0
        return bytes(
            self._data[block * _BLOCK : block * _BLOCK + whole]
            + self._data[tail : tail + size - whole]
        )

    def _set(self, inode: int, wanted: Attributes) -> None:
        extended = self._data[inode] & 1
        (mode,) = struct.unpack_from("<H", self._data, inode + 4)
        struct.pack_into(
            "<H", self._data, inode + 4, mode & ~_PERMISSIONS | wanted.mode & _PERMISSIONS
        )
        owner = "<II" if extended else "<HH"
        struct.pack_into(owner, self._data, inode + 24, wanted.uid, wanted.gid)


def _crc32c(data: bytes | bytearray) -> int:
    """Return the CRC-32C (Castagnoli) of ``data`` without the final inversion, as EROFS stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc
