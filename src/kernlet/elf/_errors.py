# SPDX-License-Identifier: Apache-2.0
"""Errors about ELF files."""

from __future__ import annotations

from kernlet.errors import KernletError

__all__ = ["ElfError", "MalformedElfError", "NotElfError", "UnsupportedElfError"]


class ElfError(KernletError):
    """A file can't be used as an ELF program or library."""


class NotElfError(ElfError):
    """The file is no ELF file at all."""


class UnsupportedElfError(ElfError):
    """A good ELF file, but not for 64-bit x86 Linux."""


class MalformedElfError(ElfError):
    """The file says that it is ELF, but contradicts itself or ends too early."""
