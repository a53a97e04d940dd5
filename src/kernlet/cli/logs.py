# SPDX-License-Identifier: Apache-2.0
"""``kernlet logs``: what a detached instance printed."""

from __future__ import annotations

import json
import os
import sys
import time

import click

from kernlet.manager import STREAMS, InstanceError, Manager, NoSuchInstanceError, read_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _stamp(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest // 1000:06d}Z "


def _show(entry: dict[str, Any], *, timestamps: bool, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(entry) + "\n")
        sys.stdout.flush()
        return
    data = entry["text"].encode("utf-8", "surrogateescape")
    if timestamps:
        data = _stamp(entry["time"]).encode() + data
    fd = 1 if entry["stream"] == "stdout" else 2
    while data:
        data = data[os.write(fd, data) :]


@click.command()
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on until the kernlet ends.")
@click.option("-n", "--tail", type=click.IntRange(0), help="Only the last lines.")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line was printed (UTC).")
@click.option("-k", "--kernel", is_flag=True, help="Also the library OS's own log.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, all streams.")
def command(
    *, name: str, follow: bool, tail: int | None, timestamps: bool, kernel: bool, as_json: bool
) -> None:
    """Show what a detached kernlet printed, standard output and error each on their own."""
    with Manager() as manager:
        instance = manager.get(name)
        if not instance.detached:
            raise InstanceError(
                f"{instance.name} runs in the foreground",
                cause="its output goes to its terminal",
                hint="only runs with -d have a log",
            )

        def alive() -> bool:
            try:
                return manager.get(instance.id).live
            except NoSuchInstanceError:
                return False

        streams = STREAMS if kernel or as_json else ("stdout", "stderr")
        folder = manager.instance_dir(instance)
        for entry in read_log(folder, alive if follow else None, tail=tail, streams=streams):
            _show(entry, timestamps=timestamps, as_json=as_json)
