# SPDX-License-Identifier: Apache-2.0
"""Makes the root file system: EROFS, uncompressed, 4 KiB blocks, by ``mkfs.erofs``.

No file's data lies inline beside its inode, so that the guest can map every page of every file from the image. The same
plan gives the same bytes: fixed times, a fixed UUID, and mkfs.erofs orders names itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ._attributes import Attributes, set_attributes
from ._errors import RootfsError

__all__ = ["RootfsItem", "make_rootfs", "source_date_epoch"]

_UUID = "6b65726e-6c65-7400-0000-000000000000"
_TIMEOUT_S = 600
_COMPACT_OWNER_MAX = 0xFFFF  # in inodes of 32 bytes


class RootfsItem(Protocol):
    """One name in the root file system; ``kernlet.build.sources.RootfsEntry`` is one.

    ``kind`` is "directory", "file" or "symlink"; a file has ``source`` (a host path) or ``data``.
    """

    @property
    def path(self) -> str:
        """Return the absolute, normalised guest path."""

    @property
    def kind(self) -> StrEnum:
        """Return what it is."""

    @property
    def mode(self) -> int:
        """Return the permission bits."""

    @property
    def source(self) -> Path | None:
        """Return the host path of a file's content."""

    @property
    def data(self) -> bytes | None:
        """Return a file's content."""

    @property
    def target(self) -> str | None:
        """Return where a symbolic link leads."""

    @property
    def uid(self) -> int:
        """Return the owner."""

    @property
    def gid(self) -> int:
        """Return the group."""


def source_date_epoch() -> int:
    """Return ``$SOURCE_DATE_EPOCH`` in seconds, 0 without one."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "0")
    return int(text) if text.isdigit() else 0


def make_rootfs(
    items: Iterable[RootfsItem],
    output: Path,
    *,
    replaced: Mapping[str, Path] | None = None,
    scratch: Path | None = None,
) -> int:
    """Write an EROFS image of ``items`` to ``output``; return its size in bytes.

    ``replaced``: for some guest paths, host files to take instead of the items' own content. ``scratch``: a folder for
    the temporary copy; it is empty again afterwards. Raises RootfsError.
    """
    tool = shutil.which("mkfs.erofs")
    if tool is None:
        raise RootfsError("mkfs.erofs is not installed", hint="apt-get install erofs-utils")
    items = list(items)
    attributes = {
        item.path: Attributes(0o777 if item.kind == "symlink" else item.mode, item.uid, item.gid)
        for item in items
    }
    with tempfile.TemporaryDirectory(dir=scratch, prefix="rootfs-") as folder:
        root = Path(folder) / "root"
        try:
            _stage(items, root, replaced or {})
        except OSError as error:
            raise RootfsError("can't copy the root file system", cause=_words(error)) from error
        command = [
            tool,
            "--quiet",
            "-Enoinline_data",
            "-x-1",
            "--all-root",
            f"-T{source_date_epoch()}",
            f"-U{_UUID}",
        ]
        if any(max(item.uid, item.gid) > _COMPACT_OWNER_MAX for item in items):
            command.append("-Eforce-inode-extended")
        command += [str(output), str(root)]
        _run(command)
    set_attributes(output, attributes)
    return _trim(output)


def _stage(items: Iterable[RootfsItem], root: Path, replaced: Mapping[str, Path]) -> None:
    """Make a copy that mkfs.erofs can read; owners and permissions come later."""
    root.mkdir()
    for item in items:
        path = _inside(root, item.path)
        if item.kind == "directory":
            path.mkdir(mode=0o700, exist_ok=path == root)
        elif item.kind == "symlink":
            path.symlink_to(item.target or "")
        else:
            _copy(item, path, replaced.get(item.path))


def _inside(root: Path, path: str) -> Path:
    parts = path.split("/")[1:]
    if (
        not path.startswith("/")
        or ".." in parts
        or "." in parts
        or "" in parts[:-1]
        or "\0" in path
    ):
        raise RootfsError(f"{path!r} is not a normalised absolute path")
    return root.joinpath(*parts)


def _copy(item: RootfsItem, path: Path, replacement: Path | None) -> None:
    source = replacement or item.source
    if source is not None:
        shutil.copyfile(source, path)
    elif item.data is not None:
        path.write_bytes(item.data)
    else:
        raise RootfsError(f"{item.path} has no content")


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, errors="replace"
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise RootfsError("mkfs.erofs did not run", cause=str(error)) from error
    if done.returncode != 0:
        lines = [line for line in re.split(r"[\r\n]+", done.stderr + done.stdout) if "rror" in line]
        cause = lines[-1].strip() if lines else f"it ended with status {done.returncode}"
        raise RootfsError("mkfs.erofs failed", cause=cause)


def _trim(output: Path) -> int:
    """Make the image whole pages; return its size in bytes."""
    size = output.stat().st_size
    pages = size + 4095 & ~4095
    if pages != size:
        with output.open("r+b") as file:
            file.truncate(pages)
    return pages


def _words(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
