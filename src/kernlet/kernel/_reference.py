# SPDX-License-Identifier: Apache-2.0
"""Writes the reference pages of modules and system calls from the manifests."""

from __future__ import annotations

from collections.abc import Mapping

from ._manifest import Module

__all__ = ["modules_page", "syscalls_page"]

_NOTE = '<!-- Generated from kernel/lib/*/module.toml by "make docs". -->\n'


def modules_page(modules: Mapping[str, Module]) -> str:
    """Return ``docs/reference/modules.md``."""
    lines = [
        _NOTE,
        "# Modules of the library OS\n",
        f"{len(modules)} modules, each a folder of `kernel/lib/`. Modules require capabilities, not each other.\n",
        "| module | what it is | provides | requires | system calls |",
        "| --- | --- | --- | --- | --- |",
    ]
    for module in modules.values():
        name = f"`{module.name}`" + (" (optional)" if module.optional else "")
        calls = str(len(module.syscalls)) if module.syscalls else ""
        cells = [
            name,
            _cell(module.summary),
            _names(module.provides),
            _names(module.requires),
            calls,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def syscalls_page(modules: Mapping[str, Module], numbers: Mapping[str, int]) -> str:
    """Return ``docs/reference/syscalls.md``: every system call there is, and which of Linux's are missing."""
    calls = {call.name: (module, call) for module in modules.values() for call in module.syscalls}
    missing = sorted(name for name in numbers if name not in calls)
    lines = [
        _NOTE,
        "# System calls\n",
        f"{len(calls)} system calls of x86-64 Linux, by number. Operations not listed return `ENOSYS`.\n",
        "| number | system call | module | operations |",
        "| --- | --- | --- | --- |",
    ]
    for name, (module, call) in sorted(calls.items(), key=lambda item: numbers.get(item[0], -1)):
        operations = _names(call.ops)
        if call.note:
            operations = f"{operations} {_cell(call.note)}".strip()
        manual = f"[{name}](https://man7.org/linux/man-pages/man2/{name}.2.html)"
        lines.append(f"| {numbers.get(name, '')} | {manual} | `{module.name}` | {operations} |")
    lines += [
        "",
        "## Not there",
        "",
        ", ".join(f"`{name}`" for name in missing) or "Nothing is missing.",
    ]
    return "\n".join(lines) + "\n"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
