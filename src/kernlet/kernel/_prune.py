# SPDX-License-Identifier: Apache-2.0
"""Keeps the cache small: what nobody has used for a month goes."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["prune"]

_KEEP_S = 30 * 24 * 3600


def prune(cache: Path, *, now: float | None = None) -> int:
    """Remove files under ``cache`` that were neither read nor written for a month; return how many.

    Another process may be using the cache at the same moment: it makes again what it misses.
    """
    oldest = (time.time() if now is None else now) - _KEEP_S
    removed = 0
    # os.walk passes over folders that go away meanwhile; Path.rglob() would raise.
    for folder, _, names in os.walk(cache):
        for name in names:
            path = Path(folder, name)
            with suppress(OSError):
                stat = path.lstat()
                if max(stat.st_atime, stat.st_mtime) < oldest:
                    path.unlink()
                    removed += 1
    return removed
