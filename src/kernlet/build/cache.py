# SPDX-License-Identifier: Apache-2.0
"""Results kept by the hash of what they were made from, in the user's cache directory.

Entries are written to a temporary file and renamed, so that concurrent builds and interrupted ones never leave half
an entry. The cache only ever saves time: where it can't be read or written (full disk, no permission, broken entry)
the work is done again. Each entry carries a hash of its content, so damage is noticed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from kernlet._paths import cache_dir

__all__ = ["ContentCache"]

_DIGEST_BYTES = 32


class ContentCache:
    """A cache of byte strings in the folder ``name`` of kernlet's cache directory (or of ``base``)."""

    def __init__(self, name: str, base: Path | None = None) -> None:
        self._folder = (base or Path(cache_dir())) / name

    @staticmethod
    def key(*parts: bytes | str) -> str:
        """Return the key of what ``parts`` together determine; the boundaries between them count."""
        digest = hashlib.sha256()
        for part in parts:
            raw = part.encode() if isinstance(part, str) else part
            digest.update(len(raw).to_bytes(8, "little"))
            digest.update(raw)
        return digest.hexdigest()

    def get(self, key: str) -> bytes | None:
        """Return the entry, None if there is none or it is damaged."""
        try:
            raw = self._path(key).read_bytes()
        except OSError:
            return None
        content = raw[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != raw[:_DIGEST_BYTES]:
            return None
        return content

    def put(self, key: str, content: bytes) -> None:
        """Keep ``content``; silently does nothing where it can't be written."""
        path = self._path(key)
        temporary: str | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(content).digest())
                file.write(content)
            Path(temporary).replace(path)
            temporary = None
        except OSError:
            pass
        finally:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()

    def compute(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Return the entry, made with ``make`` and kept if it is not there."""
        content = self.get(key)
        if content is None:
            content = make()
            self.put(key, content)
        return content

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]
