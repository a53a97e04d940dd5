# SPDX-License-Identifier: Apache-2.0
"""The errors of this package."""

from __future__ import annotations

from kernlet.errors import KernletError

__all__ = ["ImageError", "ImageFormatError", "ImageWriteError", "RootfsError"]


class ImageError(KernletError):
    """An image can't be made or read."""


class ImageFormatError(ImageError):
    """A file is not an image of this format, or a damaged one."""


class ImageWriteError(ImageError):
    """An image can't be written where it should go; nothing of it is left there."""


class RootfsError(ImageError):
    """The root file system can't be made."""
