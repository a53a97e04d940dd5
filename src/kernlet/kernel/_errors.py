# SPDX-License-Identifier: Apache-2.0
"""The errors of this package."""

from __future__ import annotations

from kernlet.errors import KernletError

__all__ = [
    "CompileError",
    "KernelError",
    "LinkError",
    "ManifestError",
    "ModuleCheckError",
    "SelectionError",
]


class KernelError(KernletError):
    """The library OS can't be built."""


class ManifestError(KernelError):
    """A ``module.toml`` is missing, unreadable, or says something that it must not."""


class SelectionError(KernelError):
    """The modules asked for don't make a whole: a capability has no provider, or more than one."""


class CompileError(KernelError):
    """The compiler refused a source file; ``output`` holds all that it said."""

    def __init__(
        self, message: str, *, cause: str | None = None, hint: str | None = None, output: str = ""
    ) -> None:
        super().__init__(message, cause=cause, hint=hint)
        self.output = output


class LinkError(KernelError):
    """The linker refused the objects."""


class ModuleCheckError(KernelError):
    """What a module's objects do isn't what its manifest says."""
