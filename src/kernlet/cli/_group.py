# SPDX-License-Identifier: Apache-2.0
"""The click group: every module of this package without a leading underscore is a command."""

from __future__ import annotations

import importlib
import pkgutil

import click

import kernlet
import kernlet.cli


class LazyGroup(click.Group):
    """Imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the modules."""
        modules = pkgutil.iter_modules(kernlet.cli.__path__)
        return sorted(m.name for m in modules if not m.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the module's ``command``."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"kernlet.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(kernlet.__version__, prog_name="kernlet", message="%(prog)s %(version)s")
def group() -> None:
    """Turn an ordinary Linux program into a unikernel: one small file that boots in milliseconds."""


def run_group(arguments: list[str], own_failure: int) -> int:
    """Run the command; return the exit status."""
    try:
        result = group.main(arguments, prog_name="kernlet", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.UsageError as error:
        message = error.format_message().rstrip(".")
        where = error.ctx.command_path if error.ctx else "kernlet"
        click.echo(f"kernlet: {message}; see '{where} --help'", err=True)
        return own_failure if own_failure != 1 else 2
    except click.Abort:
        return 130
    except click.ClickException as error:
        click.echo(f"kernlet: {error.format_message()}", err=True)
        return own_failure
    return result if isinstance(result, int) else 0
