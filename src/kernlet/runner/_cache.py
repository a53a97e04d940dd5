# SPDX-License-Identifier: Apache-2.0
"""Results of probing, kept for as long as the machine stays up and the probed program the same."""

from __future__ import annotations

import contextlib
import json
import os

from kernlet._paths import cache_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def boot_id() -> str:
    """Return the kernel's name of this boot; empty where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - start-up time
            return file.read().strip()
    except OSError:
        return ""


def stamp(*paths: str) -> str:
    """Return a text that changes when one of the files, the user or the boot does."""
    parts = [boot_id(), str(os.geteuid()), str(os.getgroups())]
    for path in paths:
        try:
            info = os.stat(path)  # noqa: PTH116 - start-up time
            parts.append(
                f"{path}:{info.st_mtime_ns}:{info.st_size}:{info.st_mode}:{info.st_rdev}:{info.st_uid}:{info.st_gid}"
            )
        except OSError:
            parts.append(f"{path}:missing")
    return "|".join(parts)


def load(name: str, key: str) -> dict[str, Any] | None:
    """Return what was stored under ``name``, if its stamp is still ``key``."""
    try:
        with open(f"{cache_dir()}/{name}.json", encoding="utf-8") as file:  # noqa: PTH123 - start-up time
            stored = json.load(file)
        return dict(stored["value"]) if stored["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def store(name: str, key: str, value: dict[str, Any]) -> None:
    """Keep ``value``; a cache that cannot be written is no error."""
    folder = cache_dir()
    temporary = f"{folder}/.{name}.{os.getpid()}"
    with contextlib.suppress(OSError):
        os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - start-up time
        with open(temporary, "w", encoding="utf-8") as file:  # noqa: PTH123 - start-up time
            json.dump({"key": key, "value": value}, file)
        os.replace(temporary, f"{folder}/{name}.json")  # noqa: PTH105 - start-up time
