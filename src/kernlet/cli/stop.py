# SPDX-License-Identifier: Apache-2.0
"""``kernlet stop``: end running instances."""

from __future__ import annotations

import click

from kernlet.manager import Manager

from ._each import for_each


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "-t",
    "--timeout",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Seconds until it is killed.",
)
def command(*, names: tuple[str, ...], timeout: float) -> int:
    """Stop kernlets; those that have ended already are left as they are."""
    with Manager() as manager:
        return for_each(names, lambda name: manager.stop(manager.get(name), timeout))
