# SPDX-License-Identifier: Apache-2.0
"""Samples by figure and host, and what is said of them: median and spread."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Samples:
    """All samples of a run. Figures are named with their unit: "nginx, requests/s"."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, figure: str, host: str, value: float) -> None:
        """Add one sample."""
        self.values.setdefault(figure, {}).setdefault(host, []).append(value)

    def failed(self, figure: str, host: str, why: object) -> None:
        """Note that a sample could not be had."""
        self.failures.append(f"{figure}, {host}: {why}")

    def median(self, figure: str, host: str) -> float | None:
        """Return the median, or None when there is no sample."""
        samples = self.values.get(figure, {}).get(host, [])
        return statistics.median(samples) if samples else None

    def as_json(self) -> dict[str, Any]:
        """Return samples with median, least and most."""
        return {
            figure: {
                host: {
                    "median": statistics.median(samples),
                    "min": min(samples),
                    "max": max(samples),
                    "samples": samples,
                }
                for host, samples in hosts.items()
            }
            for figure, hosts in self.values.items()
        }
