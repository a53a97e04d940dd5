# SPDX-License-Identifier: Apache-2.0
"""Looking at files as a process would whose root directory is some directory of this machine."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from dataclasses import dataclass
from pathlib import Path

from kernlet.errors import KernletError

__all__ = ["Found", "PathError", "RootView"]

_LINKS_MAX = 40  # as Linux: path_resolution(7)


class PathError(KernletError):
    """A path can't be followed to a usable file."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a path leads: ``path`` is free of symlinks, ``links`` are the guest paths of those on the way."""

    path: str
    host: Path
    links: tuple[str, ...]


class RootView:
    """The tree under ``root`` (a host directory, usually "/"), with guest paths as names.

    Absolute symlinks and ".." are taken relative to ``root``, so nothing outside of it is ever looked at.
    """

    def __init__(self, root: Path | str = "/") -> None:
        self.root = Path(root)
        self._is_host = self.root.resolve() == Path("/")

    @property
    def is_host(self) -> bool:
        """Whether this is the machine's own root directory."""
        return self._is_host

    def host(self, path: str) -> Path:
        """Return the host's name of a guest path that is free of symlinks."""
        return self.root / path.lstrip("/")

    def resolve(self, path: str) -> Found | None:
        """Follow ``path``; None if it leads nowhere. Raises PathError for a loop or an unreadable directory."""
        todo = [part for part in path.split("/") if part and part != "."][::-1]
        here: list[str] = []
        links: list[str] = []
        while todo:
            part = todo.pop()
            if part == "..":
                del here[-1:]
                continue
            name = "/" + "/".join([*here, part])
            try:
                info = os.lstat(self.host(name))
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                    return None
                raise PathError(
                    f"can't look at {name}", cause=error.strerror, hint="check its permissions"
                ) from error
            if not stat.S_ISLNK(info.st_mode):
                here.append(part)
                continue
            if len(links) >= _LINKS_MAX:
                raise PathError(
                    f"{path} leads in a circle",
                    cause="too many symbolic links",
                    hint=f"look at {name}",
                )
            links.append(name)
            target = str(self.host(name).readlink())
            if target.startswith("/"):
                here = []
            todo += [piece for piece in target.split("/") if piece and piece != "."][::-1]
        real = "/" + "/".join(here)
        return Found(real, self.host(real), tuple(dict.fromkeys(links)))

    def file(self, path: str) -> Found | None:
        """Like resolve(), but only for a regular file."""
        found = self.resolve(path)
        return found if found is not None and found.host.is_file() else None

    def read(self, path: str) -> bytes | None:
        """Return the content of a regular file, None if there is none that can be read."""
        found = self.file(path)
        if found is None:
            return None
        try:
            return found.host.read_bytes()
        except OSError:
            return None

    def is_directory(self, path: str) -> bool:
        """Whether ``path`` leads to a directory."""
        found = self.resolve(path)
        return found is not None and found.host.is_dir()

    def glob(self, pattern: str) -> list[str]:
        """Return the guest paths that match ``pattern`` (wildcards in its last part only), sorted."""
        directory, last = posixpath.split(pattern)
        found = self.resolve(directory)
        if found is None or not found.host.is_dir():
            return []
        return sorted(f"{directory.rstrip('/')}/{p.name}" for p in found.host.glob(last))
