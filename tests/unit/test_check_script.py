# SPDX-License-Identifier: Apache-2.0
"""The script behind "make check" counts what the test programs report."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check.py"


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("check", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "check", module)
    spec.loader.exec_module(module)
    return module


def test_junit_is_counted(check: ModuleType, tmp_path: Path) -> None:
    report = tmp_path / "r.xml"
    report.write_text(
        """<testsuites><testsuite>
        <properties><property name="accelerator" value="qemu: tcg"/></properties>
        <testcase name="a"/><testcase name="b"><failure message="x"/></testcase>
        <testcase name="c"><error message="y"/></testcase>
        <testcase name="d"><skipped message="no KVM"/></testcase>
        <testcase name="e"><skipped message="no KVM"/></testcase>
        </testsuite></testsuites>"""
    )
    result = check.read_junit(report)
    assert (result.passed, result.failed, result.skips) == (1, 2, {"no KVM": 2})
    assert result.accelerators == {"qemu: tcg"}


def test_step_without_results_fails(check: ModuleType, tmp_path: Path) -> None:
    step = check.Step("x", ["true"], lambda: check.read_junit(tmp_path / "missing.xml"))
    result = check.run(step)
    assert (result.passed, result.failed) == (0, 1)


def test_missing_tool_and_time_limit_fail(check: ModuleType) -> None:
    assert check.run(check.Step("x", ["no-such-tool"])).failed == 1
    assert check.run(check.Step("x", ["sleep", "5"], timeout_s=0.1)).failed == 1
    assert check.run(check.Step("x", ["true"])).passed == 1


def test_table_names_reasons_and_accelerators(
    check: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    check.print_table({"guest": check.Result(3, 0, {"no KVM": 2}, {"qemu: tcg"}, 1.5)})
    text = capsys.readouterr().out
    assert "guest: 2 x no KVM" in text
    assert "accelerators: qemu: tcg" in text
