# SPDX-License-Identifier: Apache-2.0
"""``kernlet analyze``: which system calls a program can make, and why."""

from __future__ import annotations

import sys

import click

from ._output import print_json, print_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kernlet.build.analysis import Analysis, CallUse, Step


@click.command()
@click.argument("source", metavar="PROGRAM|DIR|kernlet.toml")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(*, source: str, as_json: bool) -> None:
    """Find, without running it, which system calls a program and its libraries can make."""
    from kernlet.build.analysis import analyse_plan, to_json
    from kernlet.build.sources import load_source
    from kernlet.errors import KernletError
    from kernlet.kernel import default_tree, load_modules

    providers = {
        call.name: module.name
        for module in load_modules(default_tree().lib).values()
        for call in module.syscalls
    }
    plan = load_source(source, None)
    analysis = analyse_plan(plan, starts_others=bool({"execve", "execveat"} & providers.keys()))
    if analysis is None:
        raise KernletError(
            f"{source} starts no ELF program", hint="put the script's interpreter into the folder"
        )
    if as_json:
        table = to_json(analysis)
        for call in table["syscalls"]:
            call["module"] = providers.get(call["name"])
        print_json(table)
        return
    _show(analysis, providers)


def _show(analysis: Analysis, providers: dict[str, str]) -> None:
    rows = [
        (call.name, providers.get(call.name, "-"), _operations(call), _chain(call.chain))
        for call in analysis.calls
    ]
    print_table(("SYSTEM CALL", "MODULE", "OPERATIONS", "WHY"), rows)
    missing = [call.name for call in analysis.calls if call.name not in providers]
    sys.stdout.write(
        f"\n{len(analysis.calls)} system calls in {len(analysis.files)} files; "
        f"{len(missing)} of them are in no module and will fail\n"
    )
    for item in analysis.unknown:
        sys.stdout.write(f"unknown: {item.what}: {_chain(item.chain)}\n")


def _operations(call: CallUse) -> str:
    texts = [
        "any" if item.names is None else " ".join(item.names) or "none" for item in call.operations
    ]
    return "; ".join(texts)


def _chain(steps: tuple[Step, ...]) -> str:
    """Return the first step, the last ones, and each at which the file changes."""
    shown: list[str] = []
    skipped = False
    for index, step in enumerate(steps):
        changes = index == 0 or steps[index - 1].file != step.file
        if changes or index >= len(steps) - 2:
            shown.append(("... " if skipped else "") + str(step))
            skipped = False
        else:
            skipped = True
    return " > ".join(shown)
