# SPDX-License-Identifier: Apache-2.0
"""Sources of an image: a program, a directory, or a kernlet.toml, turned into a root file system's description."""

from __future__ import annotations

from kernlet.build.sources._plan import EntryKind, ModuleOverrides, Port, RootfsEntry, RootfsPlan

__all__ = ["EntryKind", "ModuleOverrides", "Port", "RootfsEntry", "RootfsPlan"]
