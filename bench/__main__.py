# SPDX-License-Identifier: Apache-2.0
"""``python -m bench``: measure kernlet beside what else is here, on this machine, in one run.

Everything happens in a network namespace of its own, which ends with the run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import kernlet
from kernlet.build.sources import load_source
from kernlet.runner import MonitorRunner

from . import _cases, _lab, _machine, _report
from ._samples import Samples
from ._servers import Container, LinuxVm, Monitor, Native, Qemu, Server, unpack

ROOT = Path(__file__).resolve().parent.parent
MIB = 1 << 20
GROUPS = ("hello", "syscall", "nginx", "redis", "memory", "churn", "sizes")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="samples of each figure (5)")
    parser.add_argument("--seconds", type=int, default=5, help="length of each load (5)")
    parser.add_argument("--only", default=",".join(GROUPS), help=f"of {','.join(GROUPS)}")
    parser.add_argument("--without", default="", help="hosts to leave out: docker,linux,qemu")
    parser.add_argument("--out", type=Path, default=ROOT / "bench/results/latest")
    options = parser.parse_args()
    options.only = set(options.only.split(","))
    options.without = set(options.without.split(","))
    if unknown := options.only - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    return options


def _enter_namespace() -> None:
    if os.environ.get("KLBENCH_INSIDE") == "1":
        return
    if os.geteuid() != 0:
        sys.exit("bench: a network namespace needs root: run it with sudo")
    environment = {**os.environ, "KLBENCH_INSIDE": "1"}
    command = ["unshare", "--net", "--", sys.executable, "-m", "bench", *sys.argv[1:]]
    os.chdir(ROOT)
    os.execvpe(command[0], command, environment)  # noqa: S606 - the same program, in a namespace


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


class _Bench:
    def __init__(
        self, options: argparse.Namespace, work: Path, stack: contextlib.ExitStack
    ) -> None:
        self.options = options
        self.work = work
        self.samples = Samples()
        self.tsc_khz = MonitorRunner().probe().tsc_khz
        self.docker = ""
        if "docker" not in options.without and shutil.which("dockerd"):
            try:
                self.docker = stack.enter_context(_lab.docker(work))
            except RuntimeError as error:
                _say(f"without Docker: {error}")

    def build(self, name: str) -> Path:
        image = self.work / f"{name}.kernlet"
        kernlet.build(ROOT / "examples" / name, image)
        return image

    def servers(self, name: str, memory_mib: int) -> list[Server]:
        """Return the example on each host that there is here."""
        plan = load_source(ROOT / "examples" / name, None)
        argv = [*plan.entrypoint, *plan.cmd]
        root = self.work / name / "root"
        unpack(plan, root)
        image = self.build(name)
        servers: list[Server] = [Native(root, argv)]
        if self.docker:
            container = _lab.docker_image(self.docker, plan)
            servers.append(Container(container, argv, self.docker, self.work / name / "docker.log"))
        servers.append(Monitor(image, memory_mib * MIB))
        if "qemu" not in self.options.without:
            servers.append(Qemu(image, memory_mib + 32, self.tsc_khz))
        kernel = _lab.linux_kernel()
        if "linux" not in self.options.without and kernel is not None and name == "nginx":
            initramfs = self.work / name / "initramfs"
            _lab.initramfs(kernel, root, argv, initramfs)
            servers.append(LinuxVm(kernel, initramfs, 256))
        return servers

    def hello(self) -> None:
        image = self.build("hello")
        program = ROOT / "examples/hello/build/hello"
        docker = []
        if self.docker:
            plan = load_source(ROOT / "examples/hello", None)
            container = _lab.docker_image(self.docker, plan)
            docker = ["docker", "-H", self.docker, "run", "--rm", container, *plan.entrypoint]
        for _ in range(4 * self.options.rounds):
            _cases.hello(self.samples, image, program, docker, self.tsc_khz)

    def syscall(self) -> None:
        program = self.work / "syscall"
        source = ROOT / "bench/programs/syscall.c"
        subprocess.run(["musl-gcc", "-static", "-O1", "-o", program, source], check=True)
        image = self.work / "syscall.kernlet"
        kernlet.build(program, image)
        for _ in range(self.options.rounds):
            _cases.syscall(self.samples, image, program)

    def nginx(self) -> None:
        servers = self.servers("nginx", 64)
        for round_ in range(self.options.rounds):
            _say(f"nginx, round {round_ + 1} of {self.options.rounds}")
            _cases.web(self.samples, servers, self.options.seconds)

    def redis(self) -> None:
        servers = self.servers("redis", 128)
        for round_ in range(self.options.rounds):
            _say(f"redis, round {round_ + 1} of {self.options.rounds}")
            _cases.redis(self.samples, servers, 100000)

    def memory(self) -> None:
        image = self.build("nginx")
        for _ in range(self.options.rounds):
            _cases.smallest_memory(self.samples, image, 3, (4, 6, 8, 12, 18, 64))

    def churn(self) -> None:
        servers: list[Server] = [Monitor(self.build("nginx"), 64 * MIB)]
        _cases.churn(self.samples, servers, 1_000_000)

    def sizes(self) -> None:
        for name in ("hello", "nginx", "redis"):
            image = self.build(name)
            manifest = kernlet.read_manifest(image)
            files = sum(
                len(entry.read())
                for entry in load_source(ROOT / "examples" / name, None).entries
                if entry.kind == "file"
            )
            self.samples.add("image size, MB", f"kernlet: {name}", image.stat().st_size / 1e6)
            self.samples.add("image size, MB", f"files alone: {name}", files / 1e6)
            sizes = manifest.sizes
            own = sizes.text + sizes.rodata + sizes.data + sizes.bss
            self.samples.add("library OS, code and data, MB", f"kernlet: {name}", own / 1e6)


def main() -> int:
    options = _options()
    _enter_namespace()
    _lab.network()
    facts = _machine.facts()
    with tempfile.TemporaryDirectory(prefix="klbench-") as name, contextlib.ExitStack() as stack:
        bench = _Bench(options, Path(name), stack)
        for group in GROUPS:
            if group in options.only:
                _say(group)
                getattr(bench, group)()
    samples = bench.samples
    options.out.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": "python -m bench " + " ".join(sys.argv[1:]),
        "accelerator": MonitorRunner().probe().accelerator,
        "machine": facts,
        "figures": samples.as_json(),
        "failures": samples.failures,
    }
    options.out.with_suffix(".json").write_text(
        json.dumps(record, indent=1) + "\n", encoding="utf-8"
    )
    text = _report.markdown(samples)
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    if not _report.plot(samples, options.out.with_suffix(".png")):
        _say("no plot: pip install matplotlib")
    print(text)
    return 1 if samples.failures else 0


if __name__ == "__main__":
    sys.exit(main())
