# SPDX-License-Identifier: Apache-2.0
"""The command ``kernlet``: one file a command, imported when it runs."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OWN_FAILURE = 125
"""Exit status of kernlet's own failures in ``run``, as docker has it; other commands use 1."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line ``argv`` (default: the process's own) and exit with its status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _open_standard_streams()
    if arguments == ["--version"]:
        from kernlet import __version__

        sys.stdout.write(f"kernlet {__version__}\n")
        sys.exit(0)
    sys.exit(_dispatch(arguments))


def complain(line: str) -> None:
    """Write a line on standard error; where that is full or gone, the exit status has to do."""
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except OSError:
        _discard(2)


def _discard(fd: int) -> None:
    """Let what is still in a stream's buffer go nowhere: the interpreter writes it out as it ends."""
    import os

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, fd)
    os.close(null)


def _open_standard_streams() -> None:
    """Put /dev/null where a standard stream is closed, before a file of ours gets its number."""
    import os

    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
            os.set_inheritable(fd, True)
            setattr(sys, name, os.fdopen(fd, "w" if fd else "r", closefd=False))


def _dispatch(arguments: list[str]) -> int:
    command = arguments[0] if arguments else ""
    own_failure = OWN_FAILURE if command == "run" else 1
    from kernlet.errors import KernletError

    try:
        if command == "run":
            from ._options import parse

            options = parse(arguments[1:])
            if options is not None:
                from ._execute import execute

                return execute(options)
        from ._group import run_group

        return run_group(arguments, own_failure)
    except KernletError as error:
        complain(f"kernlet: {error}")
        return int(getattr(error, "exit_status", own_failure))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _discard(1)  # who read our output has gone
        return 141
    except OSError as error:
        import errno

        where = f"{error.filename}: " if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "free some space" if full else "check the path and its permissions"
        complain(f"kernlet: {where}{error.strerror or error}; {hint}")
        if full:
            _discard(1)
        return own_failure
