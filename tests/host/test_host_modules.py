# SPDX-License-Identifier: Apache-2.0
"""Runs each module's [[test]]: parts of the library OS as host programs under ASan and UBSan."""

from __future__ import annotations

import os
import subprocess

import pytest

from hostbuild import build_test, missing_files
from kernlet.kernel import CompileError, HostTest, Module, default_tree, load_modules

TREE = default_tree()
MODULES = load_modules(TREE.lib)
TESTS = [(module, test) for module in MODULES.values() for test in module.tests]


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES.keys())
def test_manifest_names_files_that_exist(module: Module) -> None:
    assert missing_files(module) == []


@pytest.mark.parametrize(
    ("module", "test"), TESTS, ids=[f"{module.name}-{test.name}" for module, test in TESTS]
)
def test_module(module: Module, test: HostTest) -> None:
    try:
        program = build_test(TREE, module, test)
    except CompileError as error:
        pytest.fail(f"{error}\n{error.output}", pytrace=False)
    options = {
        "ASAN_OPTIONS": "strict_string_checks=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    try:
        done = subprocess.run(
            [program],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=test.timeout_s,
            env={**os.environ, **options},
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"took longer than {test.timeout_s} s", pytrace=False)
    if done.returncode != 0:
        pytest.fail(
            f"status {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}", pytrace=False
        )
    if done.stdout.startswith("skip:"):
        pytest.skip(done.stdout.splitlines()[0].removeprefix("skip:").strip())
    assert "ok" in done.stdout, "a test says which cases it has run"
