# SPDX-License-Identifier: Apache-2.0
"""A program's shared libraries, found as its own loader would find them, without running it."""

from __future__ import annotations

from kernlet.build.dependencies._ldcache import CacheEntry, parse_cache, render_cache
from kernlet.build.dependencies._resolve import (
    Dependencies,
    DependencyError,
    Library,
    MissingLibraryError,
    find_dependencies,
)
from kernlet.build.dependencies._root import Found, PathError, RootView

__all__ = [
    "CacheEntry",
    "Dependencies",
    "DependencyError",
    "Found",
    "Library",
    "MissingLibraryError",
    "PathError",
    "RootView",
    "find_dependencies",
    "parse_cache",
    "render_cache",
]
