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
    if arguments == ["--version"]:
        from kernlet import __version__

        sys.stdout.write(f"kernlet {__version__}\n")
        sys.exit(0)
    sys.exit(_dispatch(arguments))


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
        sys.stderr.write(f"kernlet: {error}\n")
        return int(getattr(error, "exit_status", own_failure))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Who read our output has gone; the interpreter must not stumble over it again at its end.
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"kernlet: {where}{error.strerror}; check the path and its permissions\n")
        return own_failure
