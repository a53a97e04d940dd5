# SPDX-License-Identifier: Apache-2.0
"""``kernlet explain``: why a module or a system call is in an image, and what was left out."""

from __future__ import annotations

import sys

import click

from kernlet.errors import KernletError
from kernlet.image import Manifest, read_manifest

from ._output import print_json, print_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@click.command()
@click.argument("image", metavar="IMAGE")
@click.argument("name", metavar="[MODULE|SYSCALL]", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(*, image: str, name: str | None, as_json: bool) -> None:
    """Say why each module and system call is in an image, and what was left out."""
    value = _explain(read_manifest(image), name)
    if as_json:
        print_json(value)
        return
    for title, key in (("MODULE", "modules"), ("SYSTEM CALL", "syscalls")):
        if value[key]:
            print_table((title, "WHY"), list(value[key].items()))
            sys.stdout.write("\n")
    for title, key in (("LEFT OUT", "left_out"), ("WILL FAIL", "failing")):
        if value[key]:
            print_table((title, "WHY"), list(value[key].items()))
            sys.stdout.write("\n")


def _explain(manifest: Manifest, name: str | None) -> dict[str, Any]:
    ways = dict(manifest.why)
    value: dict[str, Any] = {
        "modules": {module.name: module.reason for module in manifest.modules},
        "syscalls": {call: ways.get(call, "") for call in manifest.syscalls},
        "left_out": {module.name: module.reason for module in manifest.left_out},
        "failing": dict(manifest.failing),
    }
    if name is None:
        return value
    found = {key: {n: w for n, w in table.items() if n == name} for key, table in value.items()}
    if not any(found.values()):
        raise KernletError(
            f"the image knows nothing of {name!r}",
            hint="give the name of a module or of a system call; see kernlet explain IMAGE",
        )
    return found
