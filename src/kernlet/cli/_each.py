# SPDX-License-Identifier: Apache-2.0
"""Doing the same to several instances: one that fails does not keep the others from it."""

from __future__ import annotations

import click

from kernlet.errors import KernletError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def for_each(names: Iterable[str], act: Callable[[str], object]) -> int:
    """Print each name that was done and an error for each other; return the exit status."""
    status = 0
    for name in names:
        try:
            act(name)
            click.echo(name)
        except KernletError as error:
            click.echo(f"kernlet: {error}", err=True)
            status = 1
    return status
