# SPDX-License-Identifier: Apache-2.0
"""Image files: ``NAME.kernlet``, one ELF file with the library OS, the root file system and a manifest.

``read_manifest()`` and ``read_image()`` look into one; ``make_rootfs()`` and ``write_image()`` make one. What only
the makers need is imported when they are used: reading is part of every boot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._errors import ImageError, ImageFormatError, ImageWriteError, RootfsError
from ._file import ImageInfo, Segment, read_image, read_manifest
from ._manifest import (
    SCHEMA,
    ImageSizes,
    Manifest,
    ManifestPort,
    ModuleUse,
    RewriteStatistics,
    manifest_from_json,
    manifest_to_json,
)

if TYPE_CHECKING:
    from ._erofs import RootfsItem, make_rootfs, source_date_epoch
    from ._write import ImageLayout, write_image

__all__ = [
    "SCHEMA",
    "ImageError",
    "ImageFormatError",
    "ImageInfo",
    "ImageLayout",
    "ImageSizes",
    "ImageWriteError",
    "Manifest",
    "ManifestPort",
    "ModuleUse",
    "RewriteStatistics",
    "RootfsError",
    "RootfsItem",
    "Segment",
    "make_rootfs",
    "manifest_from_json",
    "manifest_to_json",
    "read_image",
    "read_manifest",
    "source_date_epoch",
    "write_image",
]

_LATE = {
    "ImageLayout": "_write",
    "RootfsItem": "_erofs",
    "make_rootfs": "_erofs",
    "source_date_epoch": "_erofs",
    "write_image": "_write",
}


def __getattr__(name: str) -> object:
    """Import the makers' names when they are first asked for."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_LATE[name]}", __name__), name)
