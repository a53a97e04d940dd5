# SPDX-License-Identifier: Apache-2.0
"""Where kernlet keeps its files: the XDG base directories, for root the system's own.

``kernlet run`` reads this before anything else, so it is written out here: importing platformdirs
takes longer than a whole guest boot.
"""

from __future__ import annotations

import os


def _xdg(variable: str, fallback: str) -> str:
    base = os.environ.get(variable, "")
    return base if base.startswith("/") else os.path.expanduser(fallback)  # noqa: PTH111 - start-up time


def cache_dir() -> str:
    """Return the folder of what can be made again: built images, objects, probe results."""
    return os.environ.get("KERNLET_CACHE_DIR") or f"{_xdg('XDG_CACHE_HOME', '~/.cache')}/kernlet"


def state_dir() -> str:
    """Return the folder of what is known about instances: the database and the logs."""
    override = os.environ.get("KERNLET_STATE_DIR")
    if override:
        return override
    if os.geteuid() == 0:
        return "/var/lib/kernlet"
    return f"{_xdg('XDG_STATE_HOME', '~/.local/state')}/kernlet"


def runtime_dir() -> str:
    """Return the folder of sockets: short, because a socket's path holds 107 bytes at most."""
    override = os.environ.get("KERNLET_RUNTIME_DIR")
    if override:
        return override
    if os.geteuid() == 0:
        return "/run/kernlet"
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    return f"{base}/kernlet" if base.startswith("/") else f"/tmp/kernlet-{os.geteuid()}"  # noqa: S108 - made with 0700
