# SPDX-License-Identifier: Apache-2.0
"""The generated pages of docs/reference are what the manifests say now."""

from __future__ import annotations

from kernlet.kernel import (
    default_tree,
    load_modules,
    modules_page,
    read_syscall_numbers,
    syscalls_page,
)

TREE = default_tree()
PAGES = TREE.root / "docs" / "reference"


def test_page_of_modules_is_up_to_date() -> None:
    assert (PAGES / "modules.md").read_text() == modules_page(load_modules(TREE.lib)), (
        "run: make docs"
    )


def test_page_of_system_calls_is_up_to_date() -> None:
    # Which calls are not there depends on the headers of the system as well.
    page = (PAGES / "syscalls.md").read_text().split("## Not there")[0]
    made = syscalls_page(load_modules(TREE.lib), read_syscall_numbers()).split("## Not there")[0]
    assert page == made, "run: make docs"
