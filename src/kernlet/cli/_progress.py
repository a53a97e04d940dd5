# SPDX-License-Identifier: Apache-2.0
"""Showing how far a build is, on standard error: a moving line on a terminal, else nothing."""

from __future__ import annotations

import contextlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernlet.build import BuildProgress

_STAGES = {
    "plan": "looking at the program",
    "rewrite": "rewriting system calls",
    "analyse": "analysing the programs",
    "kernel": "compiling the library OS",
    "rootfs": "making the root file system",
    "image": "writing the image",
}


@contextlib.contextmanager
def show_progress(*, quiet: bool) -> Iterator[BuildProgress | None]:
    """Yield what to hand to a build; None when nobody is looking."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:28}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def update(stage: str, what: str, done: int, total: int) -> None:
            del what
            text = _STAGES.get(stage, stage)
            bar.update(task, description=text, completed=done, total=total or None)

        yield update
