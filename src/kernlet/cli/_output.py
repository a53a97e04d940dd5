# SPDX-License-Identifier: Apache-2.0
"""Tables and JSON. rich is imported only when there is a terminal to look at its work."""

from __future__ import annotations

import json
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def print_json(value: Any) -> None:
    """Print ``value`` for programs."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headers: with rich on a terminal, in plain columns otherwise."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for header in headers:
            table.add_column(header, overflow="fold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        Console().print(table)
        return
    columns = list(zip(headers, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    for row in (headers, *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def ago(then_ns: int) -> str:
    """Return how long ago that was, in the largest unit that fits."""
    return f"{duration(time.time_ns() - then_ns)} ago" if then_ns else "-"


def duration(nanoseconds: int) -> str:
    """Return a duration in one unit."""
    seconds = max(0, nanoseconds) / 1e9
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def size(count: int) -> str:
    """Return bytes in a readable unit: ``9.5 MB`` means 9.5 million bytes."""
    if count < 1000:
        return f"{count} B"
    units = ("kB", "MB", "GB")
    value, at = count / 1000, 0
    while value >= 999.5 and at + 1 < len(units):
        value, at = value / 1000, at + 1
    return f"{value:.1f} {units[at]}"
