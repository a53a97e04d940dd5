# SPDX-License-Identifier: Apache-2.0
"""Sources of an image (a program, a directory, a kernlet.toml), turned into a root file system's description."""

from __future__ import annotations

from kernlet.build.sources._errors import ConfigurationError, SourceError
from kernlet.build.sources._load import load_source
from kernlet.build.sources._plan import EntryKind, ModuleOverrides, Port, RootfsEntry, RootfsPlan
from kernlet.build.sources._schema import parse_memory, parse_port

__all__ = [
    "ConfigurationError",
    "EntryKind",
    "ModuleOverrides",
    "Port",
    "RootfsEntry",
    "RootfsPlan",
    "SourceError",
    "load_source",
    "parse_memory",
    "parse_port",
]
