# SPDX-License-Identifier: Apache-2.0
"""``kernlet ps``: list instances."""

from __future__ import annotations

import click

from kernlet.manager import Instance, Manager

from ._output import ago, print_json, print_table


def _status(instance: Instance) -> str:
    if instance.status == "running":
        return f"up {ago(instance.started_ns).removesuffix(' ago')}"
    if instance.status == "exited":
        return f"exited ({instance.exit_status}) {ago(instance.ended_ns)}"
    return instance.status


@click.command()
@click.option("-a", "--all", "show_all", is_flag=True, help="Also those that have ended.")
@click.option("-q", "--quiet", is_flag=True, help="Only the ids.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(*, show_all: bool, quiet: bool, as_json: bool) -> None:
    """List the running kernlets."""
    with Manager() as manager:
        instances = [one for one in reversed(manager.list()) if show_all or one.live]
    if as_json:
        print_json([one.public() for one in instances])
    elif quiet:
        for one in instances:
            click.echo(one.id)
    else:
        headers = ("ID", "NAME", "IMAGE", "RUNNER", "CREATED", "STATUS", "PORTS")
        print_table(
            headers,
            [
                (
                    one.id,
                    one.name,
                    one.image.rpartition("/")[2],
                    f"{one.runner} ({one.accelerator})" if one.runner else "-",
                    ago(one.created_ns),
                    _status(one),
                    one.ports.replace(" ", ", "),
                )
                for one in instances
            ],
        )
