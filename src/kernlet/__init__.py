# SPDX-License-Identifier: Apache-2.0
"""kernlet turns an ordinary Linux program into a unikernel: one small file that boots as a virtual machine of its own.

``kernlet.build(source, output)`` makes an image; its result and its errors are described there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernlet.build._pipeline import BuildResult, build
    from kernlet.errors import KernletError
    from kernlet.image import Manifest, read_manifest

__all__ = ["BuildResult", "KernletError", "Manifest", "__version__", "build", "read_manifest"]

__version__ = "0.1.0"

_HOME = {
    "BuildResult": "kernlet.build",
    "KernletError": "kernlet.errors",
    "Manifest": "kernlet.image",
    "read_manifest": "kernlet.image",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for; ``import kernlet`` alone costs nothing."""
    from importlib import import_module

    if name == "build":
        return import_module("kernlet.build")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
