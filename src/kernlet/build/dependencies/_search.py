# SPDX-License-Identifier: Apache-2.0
"""Where the two loaders look for a library.

Sources: ld.so(8) for glibc; musl's documented behaviour (ldso: LD_LIBRARY_PATH, the run path of each object on the way
back to the program, then the system path from /etc/ld-musl-ARCH.path). Both are asked with the object that needs the
library and answer with the paths in the order in which the loader would try them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from kernlet.build.dependencies._ldcache import CacheEntry, parse_cache
from kernlet.build.dependencies._root import RootView
from kernlet.elf import Dynamic

__all__ = ["GlibcSearch", "Loaded", "MuslSearch", "Search", "search_for"]

HWCAPS = ("x86-64-v4", "x86-64-v3", "x86-64-v2")
_MULTIARCH = "x86_64-linux-gnu"
_DEFAULT_DIRECTORIES = ("/lib64", "/usr/lib64", "/lib", "/usr/lib")
_SYSTEM_DIRECTORIES = re.compile(rb"(?:/[A-Za-z0-9_./-]*lib[A-Za-z0-9_./-]*/\0){2,8}")
_INCLUDE_DEPTH = 8


@dataclass(slots=True)
class Loaded:
    """An object that the loader has opened as ``path``; ``needed_by`` is the object that asked for it first."""

    path: str
    origin: str
    dynamic: Dynamic | None
    needed_by: Loaded | None = None
    names: set[str] = field(default_factory=set)

    def chain(self) -> Iterator[Loaded]:
        """Yield this object, the one that needed it, and so on up to the program."""
        here: Loaded | None = self
        while here is not None:
            yield here
            here = here.needed_by


class Search(Protocol):
    """One loader's rules."""

    name: str

    def candidates(self, library: str, user: Loaded) -> Iterator[str]:
        """Yield the paths at which ``library``, needed by ``user``, would be looked for."""

    def alternatives(self, path: str) -> Iterator[str]:
        """Yield the paths that the loader would prefer to ``path`` on other CPUs."""

    def builtin(self, library: str) -> bool:
        """Whether the loader itself stands for ``library``."""

    def configuration(self) -> tuple[str, ...]:
        """Return the files that the loader reads to decide."""


class GlibcSearch:
    """ld-linux-x86-64.so.2."""

    name = "glibc"

    def __init__(
        self, root: RootView, interpreter: str, library_path: tuple[str, ...] = ()
    ) -> None:
        self._root = root
        self._interpreter = interpreter
        self._library_path = library_path

    def candidates(self, library: str, user: Loaded) -> Iterator[str]:
        """Yield DT_RPATH of the chain, LD_LIBRARY_PATH, DT_RUNPATH, the cache, and the default directories."""
        own = user.dynamic
        if own is None or not own.runpath:
            for loaded in user.chain():
                if loaded.dynamic is not None and not loaded.dynamic.runpath:
                    yield from self._in(loaded.dynamic.rpath, library, loaded.origin)
        yield from self._in(self._library_path, library, user.origin)
        if own is not None:
            yield from self._in(own.runpath, library, user.origin)
        if own is None or not own.no_default_libraries:
            yield from (entry.path for entry in self._cache.get(library, ()) if not entry.hwcaps)
            yield from (f"{directory}/{library}" for directory in self.default_directories)

    def alternatives(self, path: str) -> Iterator[str]:
        """Yield the same name in the glibc-hwcaps subdirectories beside ``path``, and as the cache knows it."""
        directory, name = posixpath.split(path)
        for level in HWCAPS:
            yield f"{directory}/glibc-hwcaps/{level}/{name}"
        yield from (entry.path for entry in self._cache.get(name, ()) if entry.hwcaps)

    def builtin(self, library: str) -> bool:
        """Whether ``library`` is the loader under its own name."""
        return library == posixpath.basename(self._interpreter)

    def configuration(self) -> tuple[str, ...]:
        """Return nothing: the image gets a cache of its own."""
        return ()

    @cached_property
    def default_directories(self) -> tuple[str, ...]:
        """The directories that are compiled into this very loader, then those of /etc/ld.so.conf."""
        data = self._root.read(self._interpreter) or b""
        found = [
            directory.decode().rstrip("/")
            for match in _SYSTEM_DIRECTORIES.finditer(data)
            for directory in match.group().split(b"\0")
            if directory
        ]
        return tuple(dict.fromkeys(found or _DEFAULT_DIRECTORIES))

    @cached_property
    def _cache(self) -> dict[str, list[CacheEntry]]:
        """The cache by name. Without one (never run ldconfig), what ldconfig would have put in."""
        data = self._root.read("/etc/ld.so.cache")
        by_name: dict[str, list[CacheEntry]] = {}
        if data is not None:
            for entry in parse_cache(data):
                by_name.setdefault(entry.name, []).append(entry)
            return by_name
        for directory in _configured(self._root, "/etc/ld.so.conf", 0):
            for path in self._root.glob(f"{directory}/lib*.so*"):
                name = posixpath.basename(path)
                by_name.setdefault(name, []).append(CacheEntry(name, path))
        return by_name

    def _in(self, directories: tuple[str, ...], library: str, origin: str) -> Iterator[str]:
        for directory in directories:
            for expanded in self._expand(directory, origin):
                yield f"{expanded}/{library}"

    def _expand(self, directory: str, origin: str) -> list[str]:
        """Replace $ORIGIN, $LIB and $PLATFORM; a relative directory depends on where it is run, so it is left out."""
        multiarch = any(_MULTIARCH in d for d in self.default_directories)
        text = _replace(directory, "ORIGIN", origin)
        text = _replace(text, "LIB", f"lib/{_MULTIARCH}" if multiarch else "lib64")
        platforms = ("haswell", "x86_64") if "PLATFORM" in text else ("x86_64",)
        found = [_replace(text, "PLATFORM", platform).rstrip("/") for platform in platforms]
        return [path for path in found if path.startswith("/")]


class MuslSearch:
    """ld-musl-x86_64.so.1."""

    name = "musl"
    _BUILTIN = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\.")

    def __init__(
        self, root: RootView, interpreter: str, library_path: tuple[str, ...] = ()
    ) -> None:
        self._root = root
        self._interpreter = interpreter
        self._library_path = library_path
        prefix = posixpath.dirname(posixpath.dirname(interpreter)).rstrip("/")
        arch = posixpath.basename(interpreter).removeprefix("ld-musl-").split(".", 1)[0]
        self._path_file = f"{prefix}/etc/ld-musl-{arch}.path"

    def candidates(self, library: str, user: Loaded) -> Iterator[str]:
        """Yield LD_LIBRARY_PATH, the run paths from ``user`` up to the program, and the system path."""
        yield from (f"{directory}/{library}" for directory in self._library_path if directory)
        for loaded in user.chain():
            if loaded.dynamic is not None:
                for directory in loaded.dynamic.runpath or loaded.dynamic.rpath:
                    if directory:
                        expanded = _replace(directory, "ORIGIN", loaded.origin).rstrip("/")
                        yield f"{expanded}/{library}"
        yield from (f"{directory}/{library}" for directory in self.default_directories)

    def alternatives(self, path: str) -> Iterator[str]:
        """Yield nothing: musl knows no CPU levels."""
        del path
        yield from ()

    def builtin(self, library: str) -> bool:
        """Whether musl's loader, which is its C library as well, stands for ``library``."""
        return self._BUILTIN.match(library) is not None or library == posixpath.basename(
            self._interpreter
        )

    def configuration(self) -> tuple[str, ...]:
        """Return the file with the system path, if there is one."""
        return (self._path_file,) if self._root.file(self._path_file) else ()

    @cached_property
    def default_directories(self) -> tuple[str, ...]:
        """The system path."""
        data = self._root.read(self._path_file)
        if data is None:
            return ("/lib", "/usr/local/lib", "/usr/lib")
        text = data.decode("utf-8", "surrogateescape")
        return tuple(part.rstrip("/") for part in re.split(r"[:\n]", text) if part)


def search_for(root: RootView, interpreter: str, library_path: tuple[str, ...] = ()) -> Search:
    """Return the rules of the loader at ``interpreter``; an unknown one is taken to be glibc's."""
    if posixpath.basename(interpreter).startswith("ld-musl"):
        return MuslSearch(root, interpreter, library_path)
    return GlibcSearch(root, interpreter, library_path)


def _replace(text: str, token: str, value: str) -> str:
    return re.sub(rf"\$(?:{token}(?![A-Za-z0-9_])|\{{{token}\}})", lambda _: value, text)


def _configured(root: RootView, path: str, depth: int) -> list[str]:
    """Read /etc/ld.so.conf: one directory a line, with `include` lines."""
    data = root.read(path)
    if data is None or depth > _INCLUDE_DEPTH:
        return []
    found: list[str] = []
    for line in data.decode("utf-8", "surrogateescape").splitlines():
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        if words[0] == "include":
            for pattern in words[1:]:
                absolute = (
                    pattern
                    if pattern.startswith("/")
                    else posixpath.join(posixpath.dirname(path), pattern)
                )
                for name in root.glob(absolute):
                    found += _configured(root, name, depth + 1)
        elif words[0].startswith("/"):
            found.append(words[0].rstrip("/"))
    return found
