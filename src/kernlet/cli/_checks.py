# SPDX-License-Identifier: Apache-2.0
"""The checks behind ``kernlet doctor``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from kernlet._paths import cache_dir, runtime_dir, state_dir
from kernlet.runner import RunnerError, all_runners, hardware_virtualisation, pick_runner

_TOOL_SECONDS = 10


class Check(NamedTuple):
    """One check: ``state`` is ``ok``, ``limited`` (works, but less well) or ``missing``."""

    name: str
    state: str
    detail: str
    remedy: str = ""


def all_checks() -> list[Check]:
    """Run every check."""
    return [
        _device(),
        _hardware(),
        *_runners(),
        _choice(),
        _tool("passt", "publishes ports without privileges", "apt-get install passt", "limited"),
        _tool("mkfs.erofs", "makes root file systems", "apt-get install erofs-utils"),
        _compiler(),
        _tool("ld", "links the library OS", "apt-get install binutils"),
        *(
            _folder(name, path)
            for name, path in (
                ("state", state_dir()),
                ("cache", cache_dir()),
                ("sockets", runtime_dir()),
            )
        ),
    ]


def _device() -> Check:
    device = Path("/dev/kvm")
    if not device.exists():
        remedy = "enable virtualisation (firmware, or a cloud machine that offers it)"
        return Check("/dev/kvm", "limited", "does not exist: guests are emulated", remedy)
    if not os.access(device, os.R_OK | os.W_OK):
        remedy = "sudo usermod -aG kvm $USER, then log in again"
        return Check(
            "/dev/kvm", "limited", "not allowed for this user: guests are emulated", remedy
        )
    return Check("/dev/kvm", "ok", "can be opened (that it works is checked below)")


def _hardware() -> Check:
    if hardware_virtualisation():
        return Check("hardware virtualisation", "ok", "VT-x or SVM is used by KVM")
    text = "none: KVM here, if any, is a software one; guests run at CPL 3, QEMU emulates"
    return Check("hardware virtualisation", "limited", text)


def _runners() -> list[Check]:
    out = []
    for runner in all_runners():
        result = runner.probe()
        state = "ok" if result.usable else "limited"
        detail = f"{result.reason} [{result.accelerator}]" if result.usable else result.reason
        out.append(Check(f"runner {runner.name}", state, detail, result.remedy))
    return out


def _choice() -> Check:
    try:
        runner, probe, rejected = pick_runner()
    except RunnerError as error:
        return Check("used by run", "missing", error.cause or error.message, error.hint or "")
    why = f"; {'; '.join(rejected)}" if rejected else ""
    return Check("used by run", "ok", f"{runner.name} ({probe.accelerator}){why}")


def _version(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_TOOL_SECONDS, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\d+\.\d+[\w.]*", done.stdout + done.stderr)
    return found[0] if found else ""


def _tool(name: str, purpose: str, remedy: str, otherwise: str = "missing") -> Check:
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        return Check(name, otherwise, f"not installed ({purpose})", remedy)
    version = "" if name == "passt" else _version([path, "--version"])
    return Check(name, "ok", f"{path} {version}".rstrip())


def _compiler() -> Check:
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        path = shutil.which(name) if name else None
        if path:
            return Check("C compiler", "ok", f"{path} {_version([path, '--version'])}".rstrip())
    text = "not installed (compiles the library OS)"
    return Check("C compiler", "missing", text, "apt-get install gcc libc6-dev")


def _folder(name: str, path: str) -> Check:
    folder = Path(path)
    existing = next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))
    if os.access(existing, os.W_OK | os.X_OK) and existing.is_dir():
        return Check(f"{name} folder", "ok", path)
    remedy = f"make it writable, or set KERNLET_{_VARIABLE[name]}_DIR"
    return Check(f"{name} folder", "missing", f"{existing} is not writable", remedy)


_VARIABLE = {"state": "STATE", "cache": "CACHE", "sockets": "RUNTIME"}
