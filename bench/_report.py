# SPDX-License-Identifier: Apache-2.0
"""A table for the terminal and the README, and a plot."""

from __future__ import annotations

from pathlib import Path

from ._samples import Samples

LOWER_IS_BETTER = ("ms", "MB", "ns")


def ratio(samples: Samples, figure: str, host: str, base: str) -> float | None:
    """Return how many times better ``host`` is than ``base``."""
    mine, theirs = samples.median(figure, host), samples.median(figure, base)
    if not mine or not theirs:
        return None
    return theirs / mine if figure.endswith(LOWER_IS_BETTER) else mine / theirs


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def markdown(samples: Samples) -> str:
    """Return one table for each figure: ratios first, then medians with their spread."""
    lines = []
    for figure, hosts in samples.values.items():
        bases = [host for host in ("native", "Docker", "Linux VM, QEMU TCG") if host in hosts]
        lines += ["", f"**{figure}**", ""]
        lines.append(
            "| host | " + "".join(f"against {base} | " for base in bases) + "median (min to max) |"
        )
        lines.append("| --- |" + " --- |" * (len(bases) + 1))
        for host, values in hosts.items():
            ratios = [ratio(samples, figure, host, base) for base in bases]
            cells = ["" if r is None else f"{r:.2f} x" for r in ratios]
            median = samples.median(figure, host) or 0.0
            spread = f"{_number(median)} ({_number(min(values))} to {_number(max(values))})"
            lines.append(f"| {host} | " + "".join(f"{cell} | " for cell in cells) + f"{spread} |")
    if samples.failures:
        lines += ["", "Not measured:", *(f"- {failure}" for failure in samples.failures)]
    return "\n".join(lines).lstrip("\n") + "\n"


def plot(samples: Samples, path: Path) -> bool:
    """Draw medians with their spread, one panel a figure; False when matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figures = list(samples.values)
    rows = (len(figures) + 1) // 2
    canvas, axes = pyplot.subplots(rows, 2, figsize=(12, 2.6 * rows), squeeze=False)
    for axis in axes.flat[len(figures) :]:
        axis.remove()
    for axis, figure in zip(axes.flat, figures, strict=False):
        hosts = samples.values[figure]
        medians = [samples.median(figure, host) or 0.0 for host in hosts]
        low = [median - min(hosts[host]) for median, host in zip(medians, hosts, strict=True)]
        high = [max(hosts[host]) - median for median, host in zip(medians, hosts, strict=True)]
        colours = [
            "#1f6f8b" if host.startswith("kernlet") or "MiB" in host else "#b0b7bd"
            for host in hosts
        ]
        axis.barh(list(hosts), medians, xerr=[low, high], color=colours, ecolor="#444444")
        axis.invert_yaxis()
        better = "lower" if figure.endswith(LOWER_IS_BETTER) else "higher"
        axis.set_title(f"{figure} ({better} is better)", fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        if max(medians) > 20 * max(min(medians), 1e-9):
            axis.set_xscale("log")
        for position, median in enumerate(medians):
            axis.annotate(
                _number(median),
                (median, position),
                textcoords="offset points",
                xytext=(4, 5),
                fontsize=7,
            )
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    canvas.tight_layout()
    canvas.savefig(path, dpi=110)
    pyplot.close(canvas)
    return True
