# SPDX-License-Identifier: Apache-2.0
"""The protocol that every runner follows."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from kernlet.errors import KernletError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._process import VmProcess
    from ._spec import RunSpec


class RunnerError(KernletError):
    """No runner can run this here."""


class ProbeResult(NamedTuple):
    """Whether a runner works on this machine, why (not), and what would make it work.

    ``accelerator`` names what executes the guest: ``kvm``, ``kvm (software)`` or ``tcg``.
    """

    usable: bool
    reason: str
    remedy: str = ""
    accelerator: str = ""
    tsc_khz: int = 0


class Runner(Protocol):
    """One way to run an image as a virtual machine."""

    name: str

    def probe(self) -> ProbeResult:
        """Find out whether this runner works here.

        Never raises for a machine that cannot; may use a cache.
        """

    def start(self, spec: RunSpec) -> VmProcess:
        """Start the VM; the caller waits for it. Raises a KernletError with nothing left behind."""
