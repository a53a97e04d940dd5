# SPDX-License-Identifier: Apache-2.0
"""The flags of ``kernlet run``, stated once: for click and for a reader that starts faster.

click's import takes longer than a guest's boot, so well-formed command lines are read here; all
others (``--help``, mistakes) go to click, which explains.
"""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class RunOptions(NamedTuple):
    """What ``kernlet run`` was asked for, as text."""

    target: str
    args: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    memory: str = ""
    detach: bool = False
    rm: bool = False
    name: str = ""
    runner: str = ""
    net: str = ""
    hostname: str = ""
    workdir: str = ""
    verbose: int = 0


class Flag(NamedTuple):
    """One flag; ``kind`` is ``value``, ``many`` (repeatable), ``switch`` or ``count``."""

    field: str
    names: tuple[str, ...]
    kind: str
    help: str
    metavar: str = ""


FLAGS = (
    Flag(
        "publish",
        ("-p", "--publish"),
        "many",
        "Publish a port of the guest (repeatable); the address is 127.0.0.1 unless given.",
        "[IP:]HOST:GUEST[/udp]",
    ),
    Flag(
        "env",
        ("-e", "--env"),
        "many",
        "Set an environment variable (repeatable); K alone takes its value from here.",
        "K=V",
    ),
    Flag(
        "memory",
        ("-m", "--memory"),
        "value",
        "Memory beyond the image itself, like 64M; default: what the image asks for.",
        "SIZE",
    ),
    Flag("detach", ("-d", "--detach"), "switch", "Run in the background and print the id."),
    Flag("rm", ("--rm",), "switch", "Remove a detached instance and its log when it ends."),
    Flag("name", ("--name",), "value", "Name of the instance; default: a random one.", "NAME"),
    Flag("runner", ("--runner",), "value", "Default: the best that works.", "monitor|qemu"),
    Flag(
        "net",
        ("--net",),
        "value",
        "user (default for programs that use the network), none, "
        "or tap:NAME[,ip=IP/BITS][,gw=IP][,dns=IP][,mac=MAC].",
        "NETWORK",
    ),
    Flag(
        "hostname", ("--hostname",), "value", "Host name in the guest; default: the name.", "NAME"
    ),
    Flag("workdir", ("-w", "--workdir"), "value", "Working directory in the guest.", "DIR"),
    Flag(
        "verbose",
        ("-v", "--verbose"),
        "count",
        "Say what is used and why, and show the library OS's log; twice: its debug log.",
    ),
)


def parse(argv: Sequence[str]) -> RunOptions | None:
    """Read a well-formed command line; None when click should have a look at it."""
    by_name = {name: flag for flag in FLAGS for name in flag.names}
    values: dict[str, list[str]] = {}
    positional: list[str] = []
    at = 0
    while at < len(argv):
        word = argv[at]
        at += 1
        if word == "--":
            positional += argv[at:]
            break
        if not word.startswith("-") or word == "-":
            positional.append(word)
            continue
        name, equals, value = word.partition("=")
        if not word.startswith("--") and len(word) > 2:
            name, equals, value = word[:2], "=", word[2:]
        flag = by_name.get(name)
        if flag is None:
            return None
        if flag.kind in ("switch", "count"):
            if equals:
                return None
        elif not equals:
            if at == len(argv):
                return None
            value = argv[at]
            at += 1
        values.setdefault(flag.field, []).append(value)
    if not positional:
        return None
    return RunOptions(positional[0], tuple(positional[1:]), **_typed(values))


def _typed(values: dict[str, list[str]]) -> dict[str, Any]:
    kinds = {flag.field: flag.kind for flag in FLAGS}
    out: dict[str, Any] = {}
    for field, given in values.items():
        kind = kinds[field]
        if kind == "many":
            out[field] = tuple(given)
        elif kind == "value":
            out[field] = given[-1]
        else:
            out[field] = len(given) if kind == "count" else True
    return out
