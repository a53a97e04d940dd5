# SPDX-License-Identifier: Apache-2.0
"""Running images as virtual machines: one protocol, several runners, the best is picked."""

from __future__ import annotations

from ._base import ProbeResult, Runner, RunnerError
from ._cmdline import CommandLineError
from ._monitor import MonitorRunner, hardware_virtualisation, monitor_path
from ._passt import passt_path
from ._ports import PortError, check_ports
from ._process import OWN_FAILURE, HelperError, StartError, VmProcess
from ._qemu import QemuRunner, qemu_path
from ._select import all_runners, pick_runner
from ._spec import (
    Network,
    PortForward,
    RunSpec,
    SpecError,
    parse_network,
    parse_port,
    parse_size,
)

__all__ = [
    "OWN_FAILURE",
    "CommandLineError",
    "HelperError",
    "MonitorRunner",
    "Network",
    "PortError",
    "PortForward",
    "ProbeResult",
    "QemuRunner",
    "RunSpec",
    "Runner",
    "RunnerError",
    "SpecError",
    "StartError",
    "VmProcess",
    "all_runners",
    "check_ports",
    "hardware_virtualisation",
    "monitor_path",
    "parse_network",
    "parse_port",
    "parse_size",
    "passt_path",
    "pick_runner",
    "qemu_path",
]
