# SPDX-License-Identifier: Apache-2.0
"""A file that is an image by its headers and notes, without a library OS in it."""

from __future__ import annotations

import struct
from pathlib import Path

from kernlet.image import Manifest, ModuleUse, manifest_to_json


def note(name: bytes, kind: int, data: bytes) -> bytes:
    padded = data + bytes(-len(data) % 4)
    return struct.pack("<III", len(name), len(data), kind) + name + padded


def write(path: Path, manifest: Manifest | None = None, *, network: bool = False) -> Path:
    """Write an image of the program ``/guest`` to ``path``."""
    if manifest is None:
        modules = (ModuleUse("virtio-net", "a test"),) if network else ()
        manifest = Manifest(1, "guest", ("/guest",), modules=modules)
    notes = note(b"kernlet\0", 1, struct.pack("<IIQQ", 1, 0, 0, 0))
    notes += note(b"kernlet\0", 2, manifest_to_json(manifest))
    notes_at = 64 + 2 * 56
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01" + bytes(9),
        *(2, 62, 1, 0x100000, 64, 0, 0, 64, 56, 2, 0, 0, 0),
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, 0x1000, 0x100000, 0x100000, 4096, 8192, 4096)
    notes_header = struct.pack("<IIQQQQQQ", 4, 4, notes_at, 0, 0, len(notes), len(notes), 4)
    head = header + load + notes_header + notes
    assert len(head) <= 0x1000
    path.write_bytes(head + bytes(0x1000 - len(head)) + b"\xf4" * 4096)
    return path
