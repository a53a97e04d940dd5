# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kernlet.cli._reference import page

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_page_is_up_to_date() -> None:
    written = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert written == page(), "python -m kernlet.cli._reference > docs/reference/cli.md"


def test_every_command_has_a_one_line_summary_and_every_option_a_help() -> None:
    import click

    from kernlet.cli._group import group

    context = click.Context(group)
    names = group.list_commands(context)
    assert names == [
        "analyze",
        "build",
        "doctor",
        "explain",
        "inspect",
        "logs",
        "ps",
        "rm",
        "run",
        "stop",
    ]
    for name in names:
        command = group.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str()
        assert all(one.help for one in command.params if isinstance(one, click.Option))


def test_version_imports_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['kernlet', '--version']\n"
    code += "from kernlet.cli import main\n"
    code += "try:\n    main()\nfinally:\n    sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.startswith("kernlet ")
    assert not {"click", "rich", "sqlite3", "json"} & set(done.stderr.split())


def test_running_an_image_imports_no_click() -> None:
    code = "import sys, kernlet.cli._execute; sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    heavy = {"click", "rich", "dataclasses", "inspect", "subprocess", "pathlib", "elftools"}
    assert not heavy & set(done.stderr.split())
