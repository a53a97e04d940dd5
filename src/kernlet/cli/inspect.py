# SPDX-License-Identifier: Apache-2.0
"""``kernlet inspect``: all that is known about an image or an instance."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from kernlet.manager import Manager

from ._image_json import image_json
from ._output import print_json, print_table, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@click.command()
@click.argument("name", metavar="IMAGE|NAME")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(*, name: str, as_json: bool) -> None:
    """Show an image's manifest, or an instance's record."""
    if Path(name).is_file():
        value, show = image_json(name), _show_image
    else:
        with Manager() as manager:
            instance = manager.get(name)
        value, show = instance.public(), _show_record
    if as_json:
        print_json(value)
    else:
        show(value)


def _show_record(value: dict[str, Any]) -> None:
    rows = [(key.replace("_", " "), _text(item)) for key, item in value.items()]
    print_table(("FIELD", "VALUE"), rows)


def _show_image(value: dict[str, Any]) -> None:
    sizes = value["sizes"]
    kernel = sum(sizes[part] for part in ("text", "rodata", "data", "bss"))
    rewrite = value["rewrite"]
    ports = [f"{port['guest']}/{port['protocol']}" for port in value["ports"]]
    rows = [
        ("image", value["image"]),
        ("name", value["name"]),
        ("size", size(value["size_bytes"])),
        ("command", _text(value["entrypoint"] + value["cmd"])),
        ("environment", _text([f"{key}={item}" for key, item in value["env"].items()])),
        ("working directory", value["cwd"]),
        ("user", value["user"]),
        ("ports", ", ".join(ports)),
        ("memory", size(value["memory_bytes"]) if value["memory_bytes"] else "default"),
        ("library OS", f"{size(kernel)} in memory, {len(value['syscalls'])} system calls"),
        ("files", size(sizes["rootfs"])),
        (
            "system calls in code",
            f"{rewrite['rewritten']} rewritten, {rewrite['left']} left, in {rewrite['files']} files",
        ),
        ("program's SHA-256", value["program_sha256"]),
        ("built by", value["builder"]),
    ]
    print_table(("FIELD", "VALUE"), rows)
    sys.stdout.write("\n")
    modules = [(module["name"], module["reason"]) for module in value["modules"]]
    print_table(("MODULE", "WHY"), modules)


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(json.dumps(item) if " " in str(item) else str(item) for item in value)
    return "-" if value is None else str(value)
