# SPDX-License-Identifier: Apache-2.0
"""What the measurements need around them: network, Docker, a Linux VM's files, images."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

from kernlet.build.sources import EntryKind, RootfsPlan

from ._servers import GUEST_ADDRESS, GUEST_MAC, TAP

HOST_ADDRESS = "10.77.0.1"


def run(*command: str, timeout: float = 120) -> str:
    """Run a command that must succeed; return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def network() -> None:
    """Set up loopback and the guests' tap in this process's own network namespace."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "tuntap", "add", TAP, "mode", "tap", "vnet_hdr")
    run("ip", "addr", "add", f"{HOST_ADDRESS}/24", "dev", TAP)
    run("ip", "link", "set", TAP, "up")
    # The host must not wait for an answer to ARP while the guest boots.
    run("ip", "neigh", "add", GUEST_ADDRESS, "lladdr", GUEST_MAC, "dev", TAP)


def tar_of(plan: RootfsPlan) -> bytes:
    """Return the plan's files as a tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for entry in plan.entries:
            info = tarfile.TarInfo(entry.path.lstrip("/") or ".")
            info.mode, info.uid, info.gid = entry.mode, entry.uid, entry.gid
            if entry.kind is EntryKind.DIRECTORY:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            elif entry.kind is EntryKind.SYMLINK:
                info.type, info.linkname = tarfile.SYMTYPE, entry.target or ""
                archive.addfile(info)
            else:
                data = entry.read()
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@contextlib.contextmanager
def docker(work: Path) -> Iterator[str]:
    """Run a Docker daemon of our own in this network namespace; yields its address."""
    host = f"unix://{work}/docker.sock"
    command = ["dockerd", "-H", host, "--data-root", str(work / "docker")]
    command += ["--exec-root", str(work / "docker-exec"), "--pidfile", str(work / "docker.pid")]
    with (work / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(RuntimeError):
                run("docker", "-H", host, "version")
                break
            if time.monotonic() > deadline or daemon.poll() is not None:
                raise RuntimeError(f"dockerd did not start; see {work}/dockerd.log")
            time.sleep(0.2)
        yield host
    finally:
        daemon.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(30)
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()


def docker_image(host: str, plan: RootfsPlan) -> str:
    """Import the plan's files as an image; return its name."""
    name = f"klbench/{plan.name}"
    done = subprocess.run(
        ["docker", "-H", host, "import", "-", name],
        input=tar_of(plan),
        capture_output=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"docker import: {done.stderr.decode(errors='replace')}")
    return name


def linux_kernel() -> Path | None:
    """Return the newest installed kernel of Debian's for clouds, or None."""
    kernels = sorted(Path("/boot").glob("vmlinuz-*-cloud-amd64"))
    return kernels[-1] if kernels else None


def initramfs(kernel: Path, root: Path, argv: list[str], out: Path) -> None:
    """Make an initramfs of the files in ``root``: its init loads virtio, sets the address, starts argv."""
    release = kernel.name.removeprefix("vmlinuz-")
    tree = out.with_suffix(".tree")
    shutil.copytree(root, tree, symlinks=True)
    (tree / "kl").mkdir()
    shutil.copy("/usr/bin/busybox", tree / "kl/busybox")
    loads = []
    for driver in ("virtio_mmio", "virtio_net"):
        for line in run("modprobe", "--show-depends", "-S", release, driver).splitlines():
            module = Path(line.split()[1])
            shutil.copy(module, tree / "kl")
            loads.append(f"$b insmod /kl/{module.name}")
    loads = list(dict.fromkeys(loads))
    script = ["#!/kl/busybox sh", "b=/kl/busybox", *loads]
    script += ["$b mkdir -p /proc /dev", "$b mount -t proc proc /proc"]
    script += ["$b mount -t devtmpfs dev /dev"]
    script += [f"$b ip addr add {GUEST_ADDRESS}/24 dev eth0", "$b ip link set lo up"]
    script += ["$b ip link set eth0 up", "exec " + " ".join(argv)]
    (tree / "init").write_text("\n".join(script) + "\n", encoding="utf-8")
    (tree / "init").chmod(0o755)
    names = run("find", str(tree), "-mindepth", "1", "-printf", r"%P\n")
    with out.open("wb") as file:
        subprocess.run(
            ["cpio", "-o", "-H", "newc", "--quiet"],
            input=names.encode(),
            stdout=file,
            cwd=tree,
            timeout=60,
            check=True,
        )
    shutil.rmtree(tree)
