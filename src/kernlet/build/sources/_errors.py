# SPDX-License-Identifier: Apache-2.0
"""Errors about what an image is to be made from."""

from __future__ import annotations

from kernlet.errors import KernletError

__all__ = ["ConfigurationError", "SourceError"]


class SourceError(KernletError):
    """The program, directory or configuration can't be turned into a root file system."""


class ConfigurationError(SourceError):
    """kernlet.toml says something that is not understood."""
