# SPDX-License-Identifier: Apache-2.0
"""The system's C compiler and the flags with which the library OS is compiled and linked."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ._errors import KernelError
from ._tree import SourceTree

__all__ = ["Toolchain", "compile_flags", "find_toolchain", "link_flags"]

_FLAGS = (
    "-std=gnu11",
    "-Os",
    "-ffreestanding",
    "-fPIE",
    "-mgeneral-regs-only",
    "-mno-red-zone",
    "-fno-asynchronous-unwind-tables",
    "-ffunction-sections",
    "-fdata-sections",
    "-fstack-protector-strong",
    "-mstack-protector-guard=global",
    "-fcf-protection=none",
    "-fno-common",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
)
_LINK_FLAGS = (
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,--gc-sections",
    "-Wl,--no-relax",  # ld cannot relax GOT references to weak symbols this far from zero, and fails
    "-Wl,--build-id=none",
    "-Wl,-z,noexecstack",
    "-Wl,-z,norelro",
    "-Wl,-z,max-page-size=4096",
    "-Wl,--orphan-handling=error",
    "-Wl,--fatal-warnings",
)


@dataclass(frozen=True)
class Toolchain:
    """A compiler: its path, what identifies its version, and the folder of its own headers."""

    cc: str
    identity: str
    include: str


def find_toolchain() -> Toolchain:
    """Return ``$CC``, gcc or cc, in this order. KernelError when there is none."""
    wanted = os.environ.get("CC")
    for name in [wanted] if wanted else ["gcc", "cc"]:
        path = shutil.which(name)
        if path is not None:
            break
    else:
        raise KernelError(f"no C compiler ({wanted or 'gcc'}) found", hint="install gcc")
    version = _ask(path, "--version").split("\n")[0]
    include = _ask(path, "-print-file-name=include").strip()
    if not Path(include).is_dir():
        raise KernelError(
            f"the C compiler {path} has no headers of its own", hint="install gcc as a whole"
        )
    return Toolchain(path, version, include)


def _ask(cc: str, option: str) -> str:
    try:
        done = subprocess.run([cc, option], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        raise KernelError(f"the C compiler {cc} does not work", cause=str(error)) from error
    return done.stdout


def system_includes(toolchain: Toolchain) -> list[str]:
    """Return the flags that let in the compiler's own headers and the kernel's UAPI headers."""
    folders = [toolchain.include, "/usr/include", "/usr/include/x86_64-linux-gnu"]
    flags = ["-nostdinc"]
    for folder in folders:
        flags += ["-isystem", folder]
    return flags


def compile_flags(
    toolchain: Toolchain, tree: SourceTree, generated: Path, *, debug: bool
) -> list[str]:
    """Return the flags for every source file of the library OS; paths below the tree's root are relative to it."""
    renamed = [(tree.root, "."), (generated.parent, "generated")]
    includes = [f"-I{path.relative_to(tree.root)}" for path in tree.include_dirs()]
    return [
        *_FLAGS,
        *(["-g", *(f"-ffile-prefix-map={old}={new}" for old, new in renamed)] if debug else []),
        *system_includes(toolchain),
        f"-I{generated}",
        *includes,
    ]


def link_flags(script: Path, roots: Sequence[str]) -> list[str]:
    """Return the flags of the linker; ``roots`` are symbols that stay although nothing refers to them."""
    return [*_LINK_FLAGS, "-Wl,-T," + str(script), *(f"-Wl,-u,{symbol}" for symbol in roots)]
