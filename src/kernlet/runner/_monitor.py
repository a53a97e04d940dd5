# SPDX-License-Identifier: Apache-2.0
"""Running an image with kernlet's own monitor on /dev/kvm."""

from __future__ import annotations

import json
import os

from . import _cache, _cmdline
from ._base import ProbeResult
from ._passt import passt_path, start_passt
from ._process import StartError, VmProcess, find_program, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._process import Helper
    from ._spec import RunSpec

_PROGRAM = "kernlet-monitor"
_NET_FD = 3
_LOG_FD = 4
_PROBE_SECONDS = 10


def monitor_path() -> str:
    """Return where the monitor is; empty when it is nowhere.

    Looked at in this order: $KERNLET_MONITOR, the source tree's build, beside the package, PATH.
    """
    override = os.environ.get("KERNLET_MONITOR")
    if override:
        return override
    package = __file__.rsplit("/", 2)[0]
    root = package.rsplit("/", 2)[0]
    for path in (
        f"{root}/build/monitor/{_PROGRAM}",
        f"{root}/build/{_PROGRAM}",
        f"{package}/_bin/{_PROGRAM}",
    ):
        if os.access(path, os.X_OK) and not os.path.isdir(path):  # noqa: PTH112 - start-up time
            return path
    return find_program(_PROGRAM)


class MonitorRunner:
    """KVM at CPL 3, on hardware or software KVM alike."""

    name = "monitor"

    def probe(self) -> ProbeResult:
        """Let the monitor run a few instructions at CPL 3.

        The answer is kept until the machine restarts.
        """
        path = monitor_path()
        if not path:
            return ProbeResult(False, f"{_PROGRAM} is not built", "make monitor")
        key = _cache.stamp(path, "/dev/kvm")
        known = _cache.load("probe-monitor", key)
        if known is not None:
            return ProbeResult(**known)
        result = _run_probe(path)
        if result.usable:  # a failure may be a passing one
            _cache.store("probe-monitor", key, result._asdict())
        return result

    def start(self, spec: RunSpec) -> VmProcess:
        """Start the monitor with the descriptors of ``spec`` as the guest's."""
        path = monitor_path()
        if not path:
            raise StartError(f"{_PROGRAM} is not built", hint="make monitor, or use --runner qemu")
        settings = list(spec.settings)
        command = [path, "--image", spec.image, "--memory", str(spec.memory_bytes)]
        command += ["--parent", str(os.getpid())]
        fds = {0: spec.stdin_fd, 1: spec.stdout_fd, 2: spec.stderr_fd}
        if spec.log_fd != spec.stderr_fd:
            fds[_LOG_FD] = spec.log_fd
            command += ["--log-fd", str(_LOG_FD)]
        if spec.control_path:
            command += ["--control", spec.control_path]
        helper, net_fd = _connect(spec, command)
        if spec.network.mode != "none":
            settings.append(("net0", spec.network.setting()))
        try:
            if net_fd >= 0:
                fds[_NET_FD] = net_fd
            command += ["--cmdline", _cmdline.join(settings, spec.argv)]
            process = VmProcess(spawn(command, fds), helper)
        except BaseException:
            if helper is not None:
                helper.stop()
            raise
        finally:
            if net_fd >= 0:
                os.close(net_fd)
        return process


def _connect(spec: RunSpec, command: list[str]) -> tuple[Helper | None, int]:
    network = spec.network
    if network.mode == "tap":
        command += ["--net", f"tap:{network.interface},mac={network.mac}"]
    if network.mode != "user":
        return None, -1
    helper, net_fd = start_passt(network)
    command += ["--net", f"passt-fd:{_NET_FD},mac={network.mac}"]
    return helper, net_fd


def user_network_works() -> bool:
    """Whether ``--net user`` can work with this runner."""
    return bool(passt_path())


def _run_probe(path: str) -> ProbeResult:
    import subprocess

    try:
        done = subprocess.run(
            [path, "--probe"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ProbeResult(
            False, f"a test guest did not end within {_PROBE_SECONDS} s", "use --runner qemu"
        )
    except OSError as error:
        return ProbeResult(False, f"{path} does not start: {error.strerror}", "make monitor")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    complaint = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    if done.returncode == 0:
        return ProbeResult(
            True,
            str(answer.get("reason") or "a test guest ran at CPL 3"),
            "",
            "kvm" if hardware_virtualisation() else "kvm (software)",
            int(answer.get("tsc_khz") or 0),
        )
    reason = str(answer.get("reason") or complaint or f"the test guest failed ({done.returncode})")
    return ProbeResult(False, reason, str(answer.get("remedy") or _remedy()))


def _remedy() -> str:
    if not os.path.exists("/dev/kvm"):  # noqa: PTH110 - start-up time
        return (
            "enable virtualisation in the firmware or the cloud machine's type "
            "and load kvm_intel or kvm_amd"
        )
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "add yourself to the group kvm: sudo usermod -aG kvm $USER, then log in again"
    return "this KVM cannot run guests; QEMU's emulation is used instead"


def hardware_virtualisation() -> bool:
    """Whether KVM here uses VT-x or SVM: the CPU offers it and its module is loaded."""
    loaded = any(os.path.isdir(f"/sys/module/{name}") for name in ("kvm_intel", "kvm_amd"))  # noqa: PTH112
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - start-up time
            flags = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return False
    return loaded and bool({"vmx", "svm"} & set(flags.split()))
