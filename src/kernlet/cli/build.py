# SPDX-License-Identifier: Apache-2.0
"""``kernlet build``: make an image."""

from __future__ import annotations

import click

from ._output import print_json, size
from ._progress import show_progress


@click.command()
@click.argument("source", metavar="PROGRAM|DIR|kernlet.toml")
@click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS]...")
@click.option("-o", "--output", metavar="FILE", help="Default: NAME.kernlet in this folder.")
@click.option(
    "--module",
    "modules",
    multiple=True,
    metavar="[-]NAME",
    help="Put a module of the library OS in, or with '-' leave it out (repeatable).",
)
@click.option("--debug", is_flag=True, help="Keep debugging information of the library OS.")
@click.option(
    "--specialised", is_flag=True, help="Put in only what the program can use, by analysis."
)
@click.option(
    "--strict",
    is_flag=True,
    help="As --specialised; fail if a system call is possible that would fail.",
)
@click.option(
    "--trace",
    metavar="FILE",
    help="Put in only the system calls that a recorded run made (output of strace, or names).",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the image's manifest for programs.")
def command(
    *,
    source: str,
    args: tuple[str, ...],
    output: str | None,
    modules: tuple[str, ...],
    debug: bool,
    specialised: bool,
    strict: bool,
    trace: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Build an image from a program, a folder (a root file system) or a kernlet.toml."""
    from kernlet.build import build

    with show_progress(quiet=quiet) as progress:
        result = build(
            source,
            output,
            args=args or None,
            modules=modules or None,
            debug=debug,
            specialised=specialised,
            strict=strict,
            trace=trace,
            progress=progress,
        )
    if not quiet:
        for warning in result.warnings:
            click.echo(f"kernlet: note: {warning}", err=True)
    if as_json:
        from ._image_json import image_json

        print_json(image_json(result.image))
    elif not quiet:
        manifest = result.manifest
        click.echo(
            f"{result.image}: {size(result.size_bytes)} "
            f"(library OS {size(manifest.sizes.kernel)} in {len(manifest.modules)} modules, "
            f"files {size(manifest.sizes.rootfs)}), built in {result.seconds:.1f} s"
        )
