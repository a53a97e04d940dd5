# SPDX-License-Identifier: Apache-2.0
"""What a source (program, directory, kernlet.toml) becomes: a root file system and how to start in it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["EntryKind", "ModuleOverrides", "Port", "RootfsEntry", "RootfsPlan"]


class EntryKind(enum.StrEnum):
    """What an entry of the root file system is."""

    DIRECTORY = "directory"
    FILE = "file"
    SYMLINK = "symlink"


@dataclass(frozen=True, slots=True)
class RootfsEntry:
    """One name in the root file system.

    ``path`` is absolute and normalised ("/etc/passwd"). A FILE has either ``source`` (a host
    path, read when the image is made) or ``data``; a SYMLINK has ``target`` as it will be stored.
    ``mode`` holds permission bits only, 0o7777 at most.
    """

    path: str
    kind: EntryKind
    mode: int
    source: Path | None = None
    data: bytes | None = None
    target: str | None = None
    uid: int = 0
    gid: int = 0

    def read(self) -> bytes:
        """Return a FILE's content; raises OSError if the host file has gone."""
        if self.data is not None:
            return self.data
        if self.source is None:
            raise IsADirectoryError(self.path)
        return self.source.read_bytes()


@dataclass(frozen=True, slots=True)
class Port:
    """A port on which the program listens.

    ``host`` is the port to publish it on by default, None for none.
    """

    guest: int
    protocol: str = "tcp"
    host: int | None = None


@dataclass(frozen=True, slots=True)
class ModuleOverrides:
    """Library OS modules that the user puts in or leaves out, whatever the analysis says."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RootfsPlan:
    """The description of an image's contents, before anything is built.

    ``entries`` are sorted by path; each entry's parent precedes it; "/" is the first.
    ``entrypoint`` + ``cmd`` is the argv, entrypoint[0] an absolute guest path. Arguments of
    ``kernlet run F -- ARGS`` replace ``cmd``. ``user`` is numeric, "uid:gid". ``memory`` is in
    bytes, None for the default. ``programs`` are the guest paths of all ELF files known to run
    (the program, its interpreter, its libraries): what the rewriter and the analysis look at
    first.
    """

    name: str
    entries: tuple[RootfsEntry, ...]
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"
    user: str = "0:0"
    ports: tuple[Port, ...] = ()
    memory: int | None = None
    modules: ModuleOverrides = ModuleOverrides()
    programs: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()
    """Host files that decided the plan (program, kernlet.toml): for messages and the cache."""

    @property
    def argv(self) -> tuple[str, ...]:
        """The whole argument vector."""
        return self.entrypoint + self.cmd
