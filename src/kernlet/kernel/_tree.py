# SPDX-License-Identifier: Apache-2.0
"""Where the library OS's sources are, and the numbers that its headers fix."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kernlet.abi import read_layout

from ._errors import KernelError

__all__ = ["SourceTree", "default_tree"]


@dataclass(frozen=True)
class SourceTree:
    """A folder with ``abi/`` and ``kernel/`` in it."""

    root: Path

    @property
    def lib(self) -> Path:
        """Return the folder of the modules."""
        return self.root / "kernel" / "lib"

    @property
    def linker_script(self) -> Path:
        """Return the linker script."""
        return self.root / "kernel" / "kernel.ld"

    def arch_sources(self) -> list[Path]:
        """Return the sources that are in every image, sorted."""
        arch = self.root / "kernel" / "arch" / "x86_64"
        return sorted([*arch.glob("*.c"), *arch.glob("*.S")])

    def include_dirs(self) -> list[Path]:
        """Return the folders of public headers, sorted."""
        return [
            self.root / "abi",
            self.root / "kernel" / "include",
            *sorted(path for path in self.lib.glob("*/include") if path.is_dir()),
        ]

    @cached_property
    def layout(self) -> Mapping[str, int]:
        """Return the constants of ``abi/kl_layout.h`` by name."""
        return read_layout(self.root / "abi" / "kl_layout.h")


def default_tree() -> SourceTree:
    """Return the tree that this package came with: ``$KERNLET_SOURCE_ROOT``, or the checkout around the package."""
    override = os.environ.get("KERNLET_SOURCE_ROOT")
    root = Path(override) if override else Path(__file__).resolve().parents[3]
    if not (root / "abi" / "kl_layout.h").is_file():
        raise KernelError(
            f"no library OS sources in {root}",
            hint="set KERNLET_SOURCE_ROOT to a checkout of kernlet",
        )
    return SourceTree(root)
