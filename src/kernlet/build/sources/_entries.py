# SPDX-License-Identifier: Apache-2.0
"""A root file system under construction."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from pathlib import Path

from kernlet.build.dependencies import Found, RootView
from kernlet.build.sources._errors import SourceError
from kernlet.build.sources._plan import EntryKind, RootfsEntry

__all__ = ["EntrySet", "clean_guest_path", "host_file"]

_LINKS_MAX = 40
_NAME_MAX = 255
_PATH_MAX = 4095


def clean_guest_path(path: str, where: str) -> str:
    """Return an absolute guest path in its normal form; raises SourceError, naming ``where`` it came from."""
    if not path.startswith("/"):
        raise SourceError(f"{where}: {path!r} is not an absolute path", hint="start it with /")
    parts = [part for part in path.split("/") if part and part != "."]
    if ".." in parts:
        raise SourceError(f"{where}: {path!r} contains ..", hint="write the path without it")
    if "\0" in path or "\n" in path:
        raise SourceError(f"{where}: {path!r} contains a zero or a line break", hint="rename it")
    if len(path.encode("utf-8", "surrogateescape")) > _PATH_MAX or any(
        len(part.encode("utf-8", "surrogateescape")) > _NAME_MAX for part in parts
    ):
        raise SourceError(f"{where}: {path[:60]}... is too long for a path", hint="shorten it")
    return "/" + "/".join(parts)


def host_file(path: str, host: Path, *, owner: tuple[int, int] = (0, 0)) -> RootfsEntry:
    """Return the entry of a regular host file; raises SourceError if it can't be read."""
    try:
        mode = host.stat().st_mode & 0o7777
        with host.open("rb"):
            pass
    except OSError as error:
        raise SourceError(
            f"can't read {host}", cause=error.strerror, hint="check its permissions"
        ) from error
    return RootfsEntry(path, EntryKind.FILE, mode, source=host, uid=owner[0], gid=owner[1])


class EntrySet:
    """Entries by path. Missing parents are made; a path through a symlink of the set ends up behind it."""

    def __init__(self) -> None:
        self._entries: dict[str, RootfsEntry] = {"/": RootfsEntry("/", EntryKind.DIRECTORY, 0o755)}

    def __contains__(self, path: str) -> bool:
        return self.get(path) is not None

    def get(self, path: str) -> RootfsEntry | None:
        """Return what is at ``path``, following links on the way but not at its end."""
        parent, name = posixpath.split(path)
        if not name:
            return self._entries["/"]
        return self._entries.get(posixpath.join(self._real(parent), name))

    def follow(self, path: str) -> RootfsEntry | None:
        """Return what is at ``path``, following every link."""
        return self._entries.get(self._real(path))

    def add(self, entry: RootfsEntry) -> str:
        """Put in ``entry`` (its path in normal form), in place of a file or link there; return its real path.

        A directory only takes over its mode and owner. Raises SourceError when a file would have to be a directory.
        """
        parent, name = posixpath.split(entry.path)
        if not name:
            self._entries["/"] = entry
            return "/"
        parent = self._real(parent)
        self._make_directory(parent, entry.path)
        path = posixpath.join(parent, name)
        old = self._entries.get(path)
        if old is not None and (old.kind is EntryKind.DIRECTORY) != (
            entry.kind is EntryKind.DIRECTORY
        ):
            if entry.kind is EntryKind.DIRECTORY and old.kind is EntryKind.SYMLINK:
                target = self._real(path)
                self._make_directory(target, entry.path)
                return target
            raise SourceError(
                f"{path} would be both a directory and a {entry.kind if old.kind is EntryKind.DIRECTORY else old.kind}",
                hint="give one of the two another place",
            )
        self._entries[path] = RootfsEntry(
            path,
            entry.kind,
            entry.mode,
            entry.source,
            entry.data,
            entry.target,
            entry.uid,
            entry.gid,
        )
        return path

    def directory(self, path: str, mode: int = 0o755) -> None:
        """Put in an empty directory."""
        self.add(RootfsEntry(path, EntryKind.DIRECTORY, mode))

    def text(self, path: str, content: str, mode: int = 0o644) -> None:
        """Put in a file with ``content``."""
        self.add(RootfsEntry(path, EntryKind.FILE, mode, data=content.encode()))

    def data(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Put in a file with ``content``."""
        self.add(RootfsEntry(path, EntryKind.FILE, mode, data=content))

    def symlink(self, path: str, target: str) -> None:
        """Put in a symbolic link."""
        self.add(RootfsEntry(path, EntryKind.SYMLINK, 0o777, target=target))

    def copy(self, root: RootView, found: Found) -> None:
        """Put in a file of ``root`` at its real path, and the links on the way to it."""
        for link in found.links:
            if link not in self._entries:
                self.symlink(link, str(root.host(link).readlink()))
        if found.path not in self._entries:
            self.add(host_file(found.path, found.host))

    def finish(self) -> tuple[RootfsEntry, ...]:
        """Return all entries, each after its parent."""
        return tuple(self._entries[path] for path in sorted(self._entries))

    def files(self) -> Iterable[RootfsEntry]:
        """Return the regular files."""
        return [e for e in self._entries.values() if e.kind is EntryKind.FILE]

    def _make_directory(self, path: str, wanted: str) -> None:
        here = ""
        for part in path.split("/"):
            if not part:
                continue
            here += "/" + part
            old = self._entries.get(here)
            if old is None:
                self._entries[here] = RootfsEntry(here, EntryKind.DIRECTORY, 0o755)
            elif old.kind is not EntryKind.DIRECTORY:
                raise SourceError(
                    f"{wanted} can't be put in",
                    cause=f"{here} is a file",
                    hint="give it another place",
                )

    def _real(self, path: str) -> str:
        """Follow the links of the set along ``path``, as far as there are any."""
        todo = [part for part in path.split("/") if part][::-1]
        here: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part in (".", ".."):
                del here[len(here) - (part == "..") :]
                continue
            entry = self._entries.get("/" + "/".join([*here, part]))
            if entry is None or entry.kind is not EntryKind.SYMLINK or entry.target is None:
                here.append(part)
                continue
            links += 1
            if links > _LINKS_MAX:
                raise SourceError(
                    f"{path} leads in a circle",
                    cause="too many symbolic links",
                    hint=f"look at {entry.path}",
                )
            if entry.target.startswith("/"):
                here = []
            todo += [piece for piece in entry.target.split("/") if piece][::-1]
        return "/" + "/".join(here)
