# SPDX-License-Identifier: Apache-2.0
"""Numbers that the library OS, the monitor and the builder share, read from abi/kl_layout.h.

The header is the only place where they are written down; this module parses its plain numeric #defines.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from kernlet.errors import KernletError

__all__ = ["AbiError", "layout", "layout_header", "read_layout"]

_DEFINE = re.compile(
    r"^#define[ \t]+(KL_[A-Z0-9_]+)[ \t]+(0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]*(?=\s|$)", re.M
)


class AbiError(KernletError):
    """The headers that describe the layout are missing or make no sense."""


def layout_header() -> Path:
    """Return where kl_layout.h is: beside the package in a checkout, inside of it when installed."""
    package = Path(__file__).resolve().parent
    for place in (package / "abi", package.parent.parent / "abi"):
        header = place / "kl_layout.h"
        if header.is_file():
            return header
    raise AbiError(
        "abi/kl_layout.h is missing",
        hint="install kernlet again, or run it from a complete checkout",
    )


@functools.cache
def layout() -> dict[str, int]:
    """Return every plain number that kl_layout.h defines, by name. Raises AbiError."""
    return read_layout(layout_header())


def read_layout(header: Path) -> dict[str, int]:
    """Return every plain number that this kl_layout.h defines, by name. Raises AbiError."""
    try:
        text = header.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AbiError(
            f"can't read {header}", cause=str(error), hint="check its permissions"
        ) from error
    found = {name: int(value, 0) for name, value in _DEFINE.findall(text)}
    if "KL_GATE_SYSCALL_VA" not in found:
        raise AbiError(f"{header} does not define KL_GATE_SYSCALL_VA", hint="restore the file")
    return found
