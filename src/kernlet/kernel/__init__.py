# SPDX-License-Identifier: Apache-2.0
"""Builds the library OS: reads the modules' manifests, generates tables, compiles with the system's compiler, links.

``build_kernel()`` is the whole way; ``load_modules()`` and ``select_modules()`` are its first steps for those who want
to look only. The result is an ELF file without a program in it; ``kernlet.image`` makes an image of it.
"""

from __future__ import annotations

from ._build import KernelBuild, KernelSizes, Progress, build_kernel, compile_modules
from ._compile import CompiledObject, Compiler, Unit
from ._errors import (
    CompileError,
    KernelError,
    LinkError,
    ManifestError,
    ModuleCheckError,
    SelectionError,
)
from ._generate import ImageConfig, read_syscall_numbers
from ._manifest import Fuzz, HostTest, Init, Module, Syscall, load_module, load_modules
from ._reference import modules_page, syscalls_page
from ._select import InitCall, Selection, init_order, select_modules
from ._tree import SourceTree, default_tree

__all__ = [
    "CompileError",
    "CompiledObject",
    "Compiler",
    "Fuzz",
    "HostTest",
    "ImageConfig",
    "Init",
    "InitCall",
    "KernelBuild",
    "KernelError",
    "KernelSizes",
    "LinkError",
    "ManifestError",
    "Module",
    "ModuleCheckError",
    "Progress",
    "Selection",
    "SelectionError",
    "SourceTree",
    "Syscall",
    "Unit",
    "build_kernel",
    "compile_modules",
    "default_tree",
    "init_order",
    "load_module",
    "load_modules",
    "modules_page",
    "read_syscall_numbers",
    "select_modules",
    "syscalls_page",
]
