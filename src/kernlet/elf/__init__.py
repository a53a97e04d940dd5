# SPDX-License-Identifier: Apache-2.0
"""Reading ELF64 x86-64 files: typed, and safe on files that somebody made to hurt."""

from __future__ import annotations

from kernlet.elf._dynamic import Dynamic
from kernlet.elf._errors import ElfError, MalformedElfError, NotElfError, UnsupportedElfError
from kernlet.elf._file import ElfFile, ElfKind, Segment
from kernlet.elf._frames import Frame, read_frames
from kernlet.elf._tables import (
    Function,
    Relocation,
    read_functions,
    read_imports,
    read_labels,
    read_objects,
    read_relocations,
)

__all__ = [
    "Dynamic",
    "ElfError",
    "ElfFile",
    "ElfKind",
    "Frame",
    "Function",
    "MalformedElfError",
    "NotElfError",
    "Relocation",
    "Segment",
    "UnsupportedElfError",
    "read_frames",
    "read_functions",
    "read_imports",
    "read_labels",
    "read_objects",
    "read_relocations",
]
