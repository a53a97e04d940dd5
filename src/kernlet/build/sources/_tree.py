# SPDX-License-Identifier: Apache-2.0
"""Copying a directory of the host into a root file system."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from pathlib import Path

from kernlet.build.sources._entries import EntrySet, clean_guest_path, host_file
from kernlet.build.sources._errors import SourceError
from kernlet.build.sources._plan import EntryKind, RootfsEntry

__all__ = ["copy_root", "copy_tree"]

_ENTRIES_MAX = 2_000_000
# The guest's own file systems cover these; what an exported container has there is of no use.
_COVERED = ("/dev", "/proc", "/sys", "/run")
_SPECIAL = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a block device",
}


def copy_root(entries: EntrySet, root: Path) -> None:
    """Put in a whole root file system as it is, links unchanged.

    Owners are kept when the builder is root, otherwise everything belongs to the guest's root. Raises SourceError for
    what can't be read or has no place in an image.
    """
    keep_owner = os.geteuid() == 0
    for guest, host, info in _walk(root, "/"):
        if guest == "/kernlet.toml":
            continue  # says how to build the image, and is no part of it
        owner = (info.st_uid, info.st_gid) if keep_owner else (0, 0)
        _add(entries, guest, host, info, owner)


def copy_tree(entries: EntrySet, host: Path, guest: str) -> None:
    """Put in the file or directory ``host`` as ``guest``, owned by root.

    A link that stays inside of what is copied remains one; one that leads out of it is replaced by what it leads to.
    """
    top = host.resolve()
    _copy(entries, host, guest, top, (top,))


def _copy(entries: EntrySet, host: Path, guest: str, top: Path, inside: tuple[Path, ...]) -> None:
    try:
        real = host.resolve(strict=True)
        info = real.stat()
    except (OSError, RuntimeError) as error:
        raise SourceError(
            f"can't read {host}",
            cause=getattr(error, "strerror", None) or str(error),
            hint="check that it exists and may be read",
        ) from error
    if not stat.S_ISDIR(info.st_mode):
        _add(entries, guest, real, info, (0, 0))
        return
    for path, place, status in _walk(real, guest):
        if stat.S_ISLNK(status.st_mode) and (out := _leads_out(place, top)) is not None:
            if any(out == outer or out in outer.parents for outer in inside):
                raise SourceError(
                    f"{place} leads in a circle",
                    cause=f"it leads to {out}, which holds it",
                    hint="remove the link",
                )
            _copy(entries, out, path, out, (*inside, out))
        else:
            _add(entries, path, place, status, (0, 0))


def _leads_out(link: Path, top: Path) -> Path | None:
    """Return where a link leads if that exists outside of ``top``; None if the link can stay what it is."""
    try:
        real = link.resolve(strict=True)
    except RuntimeError as error:
        raise SourceError(f"{link} leads in a circle", hint="remove the link") from error
    except OSError as error:
        if "oo many" in (error.strerror or ""):
            raise SourceError(f"{link} leads in a circle", hint="remove the link") from error
        return None
    absolute = str(link.readlink()).startswith("/")
    return real if absolute or (real != top and top not in real.parents) else None


def _walk(top: Path, guest: str) -> Iterator[tuple[str, Path, os.stat_result]]:
    """Yield (guest path, host path, lstat) of ``top`` and everything below it, in order, not through links."""
    work = [(guest, top)]
    count = 0
    while work:
        path, host = work.pop()
        count += 1
        if count > _ENTRIES_MAX:
            raise SourceError(
                f"{top} holds more than {_ENTRIES_MAX} files", hint="choose a smaller directory"
            )
        try:
            info = host.lstat()
            yield clean_guest_path(path, str(top)), host, info
            if stat.S_ISDIR(info.st_mode):
                if guest == "/" and path in _COVERED:
                    continue
                names = sorted(os.listdir(host), reverse=True)  # noqa: PTH208 - names, not paths
                work += [(posixpath.join(path, name), host / name) for name in names]
        except OSError as error:
            raise SourceError(
                f"can't read {host}", cause=error.strerror, hint="check its permissions"
            ) from error


def _add(
    entries: EntrySet, guest: str, host: Path, info: os.stat_result, owner: tuple[int, int]
) -> None:
    kind = stat.S_IFMT(info.st_mode)
    mode = info.st_mode & 0o7777
    if kind == stat.S_IFDIR:
        entries.add(RootfsEntry(guest, EntryKind.DIRECTORY, mode, uid=owner[0], gid=owner[1]))
    elif kind == stat.S_IFREG:
        entries.add(host_file(guest, host, owner=owner))
    elif kind == stat.S_IFLNK:
        target = os.readlink(host)  # noqa: PTH115 - a Path would lose a trailing slash
        if not target or len(os.fsencode(target)) > 4095:
            raise SourceError(f"{host} is a link to nowhere", hint="remove the link")
        entries.add(
            RootfsEntry(guest, EntryKind.SYMLINK, 0o777, target=target, uid=owner[0], gid=owner[1])
        )
    else:
        raise SourceError(
            f"{host} can't be put into an image",
            cause=f"it is {_SPECIAL.get(kind, 'no ordinary file')}",
            hint="remove it, or choose a directory without it",
        )
