# SPDX-License-Identifier: Apache-2.0
"""``kernlet doctor``: what works on this machine, and what to do where it does not."""

from __future__ import annotations

import sys

import click

from ._checks import Check, all_checks
from ._output import print_json, print_table

_MARK = {"ok": "ok", "missing": "MISSING", "limited": "limited"}


def _usable(checks: list[Check]) -> bool:
    """Whether at least one runner works."""
    return any(check.state == "ok" for check in checks if check.name.startswith("runner "))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(*, as_json: bool) -> int:
    """Check this machine: accelerators, tools, permissions. Exit status 1: nothing can run."""
    checks = all_checks()
    usable = _usable(checks)
    if as_json:
        print_json({"usable": usable, "checks": [check._asdict() for check in checks]})
        return 0 if usable else 1
    print_table(
        ("CHECK", "STATE", "DETAIL"),
        [(check.name, _MARK[check.state], check.detail) for check in checks],
    )
    remedies = [check for check in checks if check.remedy and check.state != "ok"]
    if remedies:
        sys.stdout.write("\nNext steps:\n")
        for check in remedies:
            sys.stdout.write(f"  {check.name}: {check.remedy}\n")
    return 0 if usable else 1
