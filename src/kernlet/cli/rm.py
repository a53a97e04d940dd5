# SPDX-License-Identifier: Apache-2.0
"""``kernlet rm``: forget instances that have ended."""

from __future__ import annotations

import click

from kernlet.manager import Manager

from ._each import for_each


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("-f", "--force", is_flag=True, help="Also running ones: they are stopped first.")
def command(*, names: tuple[str, ...], force: bool) -> int:
    """Remove kernlets and their logs."""
    with Manager() as manager:
        return for_each(names, lambda name: manager.remove(manager.get(name), force=force))
