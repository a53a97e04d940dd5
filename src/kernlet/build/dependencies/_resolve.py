# SPDX-License-Identifier: Apache-2.0
"""The set of files that a program's loader will open, found without running it."""

from __future__ import annotations

import posixpath
from collections import deque
from dataclasses import dataclass

from kernlet.build.dependencies._ldcache import CacheEntry, render_cache
from kernlet.build.dependencies._root import Found, PathError, RootView
from kernlet.build.dependencies._search import Loaded, Search, search_for
from kernlet.elf import ElfError, ElfFile, UnsupportedElfError, read_imports
from kernlet.errors import KernletError

__all__ = ["Dependencies", "DependencyError", "Library", "MissingLibraryError", "find_dependencies"]

_LIBRARIES_MAX = 4096
# What these call at run time needs the unwinder, which glibc loads by name and aborts without.
_UNWINDERS = frozenset(("pthread_cancel", "pthread_exit", "backtrace", "thrd_exit"))
_LIBGCC = "libgcc_s.so.1"
_NAME_SERVICES = ("libnss_files.so.2", "libnss_dns.so.2")


class DependencyError(KernletError):
    """A program's libraries can't be worked out."""


class MissingLibraryError(DependencyError):
    """A library that something needs is in none of the places where the loader looks."""


@dataclass(frozen=True, slots=True)
class Library:
    """A shared library: ``path`` as the loader opens it, ``found`` where that leads.

    ``needed_by`` is the path of the object that asked for it; ``reason`` says how: "needed", "hwcaps" (the
    loader takes it on newer CPUs), "dlopen" (loaded by name at run time).
    """

    name: str
    path: str
    found: Found
    needed_by: str
    reason: str = "needed"


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a program needs beside itself. ``interpreter`` is its path as the program names it; None if static."""

    loader: str
    interpreter: str | None
    interpreter_found: Found | None
    libraries: tuple[Library, ...]
    configuration: tuple[str, ...]
    cache: bytes | None
    """Content for /etc/ld.so.cache that lists just these libraries; None if the loader reads none."""


def find_dependencies(
    program: str,
    root: RootView | None = None,
    *,
    library_path: tuple[str, ...] = (),
    extra: tuple[str, ...] = (),
) -> Dependencies:
    """Find what the loader of ``program`` (a guest path in ``root``) will open.

    ``library_path`` is the LD_LIBRARY_PATH it will run with; ``extra`` names further ELF files that it will load
    (plug-ins). Raises ElfError, PathError, MissingLibraryError or DependencyError.
    """
    root = root or RootView()
    found = _require(root, program)
    elf = ElfFile.open(found.host)
    if elf.interpreter is None:
        return Dependencies("none", None, None, (), (), None)
    interpreter = root.file(elf.interpreter)
    if interpreter is None:
        raise MissingLibraryError(
            f"{program} needs the program interpreter {elf.interpreter}, which is not there",
            hint="install the C library that it was built for (glibc or musl), or build it statically",
        )
    ElfFile.open(interpreter.host)
    search = search_for(root, elf.interpreter, library_path)
    walk = _Walk(root, search, elf.interpreter)
    start = walk.start(elf, found)
    for path in extra:
        plug_in = _require(root, path)
        walk.start(ElfFile.open(plug_in.host), plug_in, start)
    walk.run()
    return Dependencies(
        loader=search.name,
        interpreter=elf.interpreter,
        interpreter_found=interpreter,
        libraries=tuple(walk.libraries),
        configuration=search.configuration(),
        cache=_cache(walk.libraries) if search.name == "glibc" else None,
    )


def _cache(libraries: list[Library]) -> bytes:
    return render_cache(
        [CacheEntry(lib.name, lib.path) for lib in libraries if lib.reason != "hwcaps"]
    )


def _require(root: RootView, path: str) -> Found:
    found = root.resolve(path)
    if found is None:
        raise PathError(f"{path} is not there", hint="check the path")
    if not found.host.is_file():
        raise PathError(f"{path} is not a regular file", hint="give a program")
    return found


class _Walk:
    """Breadth-first over DT_NEEDED, as both loaders do it."""

    def __init__(self, root: RootView, search: Search, interpreter: str) -> None:
        self._root = root
        self._search = search
        self._interpreter = interpreter
        self._known: set[str] = set()
        self._queue: deque[tuple[ElfFile, Loaded]] = deque()
        self._imports: dict[str, str] = {}
        self._libc: ElfFile | None = None
        self._program: Loaded | None = None
        self.libraries: list[Library] = []

    def start(self, elf: ElfFile, found: Found, parent: Loaded | None = None) -> Loaded:
        """Add the program, or something that it loads by path."""
        loaded = Loaded(found.path, posixpath.dirname(found.path), elf.dynamic, parent)
        self._program = self._program or loaded
        self._queue.append((elf, loaded))
        return loaded

    def run(self) -> None:
        """Find everything. Raises MissingLibraryError."""
        self._drain()
        for name in sorted(_UNWINDERS & self._imports.keys()):
            if self._search.name == "glibc" and _LIBGCC not in self._known:
                self._by_name(_LIBGCC, self._imports[name])
        if self._libc is not None and b"_nss_files_getpwnam_r\0" not in self._libc.data:
            for name in _NAME_SERVICES:
                self._by_name(name, "/etc/nsswitch.conf")
        self._drain()

    def _drain(self) -> None:
        while self._queue:
            elf, loaded = self._queue.popleft()
            if posixpath.basename(loaded.path) == "libc.so.6" or "libc.so.6" in loaded.names:
                self._libc = elf
            else:
                for symbol in read_imports(elf) & _UNWINDERS:
                    self._imports.setdefault(symbol, loaded.path)
            for name in loaded.dynamic.needed if loaded.dynamic else ():
                self._need(name, loaded)

    def _need(self, name: str, user: Loaded) -> None:
        if name in self._known:
            return
        if "/" not in name and self._search.builtin(name):
            self._known.add(name)
            return
        path_found = self._look_up(name, user)
        if path_found is None:
            raise self._missing(name, user)
        self._add(name, *path_found, user)

    def _by_name(self, name: str, wanted_by: str) -> None:
        """Add what is loaded at run time, if it is there: the program may never come to need it."""
        assert self._program is not None
        path_found = self._look_up(name, self._program)
        if path_found is not None and name not in self._known:
            path, found, elf = path_found
            self._add(name, path, found, elf, self._program, reason="dlopen", wanted_by=wanted_by)

    def _add(
        self,
        name: str,
        path: str,
        found: Found,
        elf: ElfFile,
        user: Loaded,
        *,
        reason: str = "needed",
        wanted_by: str | None = None,
    ) -> None:
        if len(self.libraries) >= _LIBRARIES_MAX:
            raise DependencyError(f"{user.path} needs more than {_LIBRARIES_MAX} libraries")
        self._known.add(name)
        soname = elf.dynamic.soname if elf.dynamic else None
        if soname:
            self._known.add(soname)
        self.libraries.append(Library(name, path, found, wanted_by or user.path, reason))
        loaded = Loaded(path, posixpath.dirname(path), elf.dynamic, user, {name})
        self._queue.append((elf, loaded))
        for alternative in self._search.alternatives(path):
            other = self._usable(alternative)
            if other is not None:
                self.libraries.append(Library(name, alternative, other[0], user.path, "hwcaps"))

    def _look_up(self, name: str, user: Loaded) -> tuple[str, Found, ElfFile] | None:
        if "/" in name:
            if not name.startswith("/"):
                raise DependencyError(
                    f"{user.path} needs {name}, relative to whatever directory it is started in",
                    hint="link it with a plain library name and a run path of $ORIGIN",
                )
            usable = self._usable(name)
            return (name, *usable) if usable else None
        for path in self._search.candidates(name, user):
            path = posixpath.normpath(path)
            usable = self._usable(path)
            if usable is not None:
                return path, *usable
        return None

    def _usable(self, path: str) -> tuple[Found, ElfFile] | None:
        """Return the library at ``path``; None if there is none or it is for another machine, as loaders skip it."""
        found = self._root.file(path)
        if found is None:
            return None
        try:
            return found, ElfFile.open(found.host)
        except UnsupportedElfError:
            return None
        except ElfError as error:
            raise DependencyError(
                f"the library {path} can't be used",
                cause=error.cause or error.message,
                hint=error.hint,
            ) from error

    def _missing(self, name: str, user: Loaded) -> MissingLibraryError:
        places = dict.fromkeys(posixpath.dirname(p) for p in self._search.candidates(name, user))
        chain = " <- ".join(posixpath.basename(loaded.path) for loaded in user.chain())
        return MissingLibraryError(
            f"{posixpath.basename(user.path)} needs {name}, which is not there",
            cause=f"needed by {chain}; looked in {', '.join(places) or 'no directory'}",
            hint="install the package that holds it, or name its directory in LD_LIBRARY_PATH (env in kernlet.toml)",
        )
