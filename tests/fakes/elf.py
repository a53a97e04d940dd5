# SPDX-License-Identifier: Apache-2.0
"""Small ELF files made by hand, so that tests decide every byte."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
PHDR = struct.Struct("<IIQQQQQQ")
PAGE = 4096
DATA_BYTES = 2 * PAGE


@dataclass
class TinyElf:
    """A static program: ``code`` at ``text_va``, two pages of writable data at ``data_va``, no sections.

    As a ``pie`` it is linked at 0, otherwise at 4 MiB. ``extra`` are more program headers, as packed by PHDR.
    """

    code: bytes
    pie: bool = False
    entry_offset: int = 0
    data: bytes = b""
    extra: list[bytes] = field(default_factory=list)

    @property
    def base(self) -> int:
        return 0 if self.pie else 0x400000

    @property
    def text_va(self) -> int:
        return self.base + PAGE

    @property
    def data_va(self) -> int:
        return self.base + PAGE + pages(self.code)

    def bytes(self) -> bytes:
        data_at = PAGE + pages(self.code)
        headers = [
            PHDR.pack(1, 4, 0, self.base, self.base, PAGE, PAGE, PAGE),
            PHDR.pack(1, 5, PAGE, self.text_va, 0, len(self.code), len(self.code), PAGE),
            PHDR.pack(1, 6, data_at, self.data_va, 0, DATA_BYTES, DATA_BYTES + PAGE, PAGE),
            *self.extra,
        ]
        ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
        header = EHDR.pack(
            ident,
            3 if self.pie else 2,
            62,
            1,
            self.text_va + self.entry_offset,
            EHDR.size,
            0,
            0,
            EHDR.size,
            PHDR.size,
            len(headers),
            64,
            0,
            0,
        )
        out = (header + b"".join(headers)).ljust(PAGE, b"\0")
        out += self.code.ljust(pages(self.code), b"\xcc")
        return out + self.data.ljust(DATA_BYTES, b"\0")


def pages(content: bytes) -> int:
    """Return the size of ``content`` in whole pages, in bytes."""
    return max(1, (len(content) + PAGE - 1) // PAGE) * PAGE
