# SPDX-License-Identifier: Apache-2.0
"""``kernlet run``: boot an image; a program or folder is built first."""

from __future__ import annotations

import click

from ._options import FLAGS, Flag, RunOptions


def _option(flag: Flag) -> click.Option:
    names = [*flag.names, flag.field]
    if flag.kind == "switch":
        return click.Option(names, is_flag=True, help=flag.help)
    if flag.kind == "count":
        return click.Option(names, count=True, help=flag.help)
    default = None if flag.kind == "many" else ""
    return click.Option(
        names,
        multiple=flag.kind == "many",
        default=default,
        metavar=flag.metavar,
        help=flag.help,
    )


def _run(target: str, args: tuple[str, ...], **flags: object) -> int:
    from ._execute import execute

    return execute(RunOptions(target, args, **flags))  # type: ignore[arg-type]  # the table's types


command = click.Command(
    "run",
    params=[
        *(_option(flag) for flag in FLAGS),
        click.Argument(["target"], metavar="IMAGE|PROGRAM|DIR"),
        click.Argument(["args"], nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS]..."),
    ],
    callback=_run,
    help="Boot an image as a virtual machine; a program or folder is built first.\n\n"
    "Standard input, output, error and the exit status are the program's. 125: kernlet itself "
    "failed, 126: the target cannot be run, 127: it does not exist, 128+N: signal N.",
    short_help="Boot an image, program or folder as a virtual machine.",
)
