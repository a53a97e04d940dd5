# SPDX-License-Identifier: Apache-2.0
"""Writes docs/reference/cli.md from the commands themselves: ``python -m kernlet.cli._reference``."""

from __future__ import annotations

import sys

import click

from ._group import group

_HEAD = """# Command line

This page is made from the commands themselves (`make docs`).

```
kernlet COMMAND [OPTIONS] ...
```

Errors are one line on standard error: what failed, why, and what to do next.

| exit status | of | meaning |
| --- | --- | --- |
| the program's own | `run` | the program ended |
| 125 | `run` | kernlet itself, or the virtual machine monitor, failed |
| 126 | `run` | the target exists and cannot be run (not an ELF file, wrong machine, truncated) |
| 127 | `run` | the target does not exist |
| 128 + N | `run` | the program, or the virtual machine, was ended by signal N (Ctrl-C: 130) |
| 1 | others | the command failed |
| 2 | others | the command line is wrong |

A run in the foreground leaves nothing behind. A detached one (`run -d`) keeps its log and exit
status until `kernlet rm`, unless it was started with `--rm`.

The guest's memory is `-m` beyond the image: the image's own pages come from the file.
"""

_TAIL = """
## Environment

| variable | meaning |
| --- | --- |
| `KERNLET_STATE_DIR` | instances and their logs; default `/var/lib/kernlet` for root, else \
`$XDG_STATE_HOME/kernlet` |
| `KERNLET_CACHE_DIR` | built images and compiled objects; default `$XDG_CACHE_HOME/kernlet` |
| `KERNLET_RUNTIME_DIR` | control sockets; default `/run/kernlet` for root, else \
`$XDG_RUNTIME_DIR/kernlet` |
| `KERNLET_MONITOR` | path of `kernlet-monitor` |
| `KERNLET_QEMU` | path of `qemu-system-x86_64` |
"""


def page() -> str:
    """Return the whole page."""
    context = click.Context(group, info_name="kernlet")
    parts = [_HEAD]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        parts.append(_section(name, command, context))
    return "".join(parts) + _TAIL


def _section(name: str, command: click.Command, parent: click.Context) -> str:
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    lines = ["", f"## kernlet {name}", "", "```", f"kernlet {name} {usage}", "```", ""]
    lines += [(command.help or "").strip(), ""]
    options = [one for one in command.params if isinstance(one, click.Option)]
    if options:
        lines += ["| option | meaning |", "| --- | --- |"]
    for option in options:
        names = ", ".join(f"`{one}`" for one in option.opts)
        takes_value = not option.is_flag and not option.count
        metavar = f" `{option.make_metavar(context)}`" if takes_value else ""
        shown = option.show_default and option.default is not None
        default = f" Default: {option.default}." if shown else ""
        lines.append(f"| {names}{metavar} | {option.help}{default} |".replace("|qemu", "\\|qemu"))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
