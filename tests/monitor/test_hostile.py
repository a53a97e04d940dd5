# SPDX-License-Identifier: Apache-2.0
"""Hostile guests, each described by the words that the script guest carries out.

Whatever they do, the monitor ends as told (the guest's own exit status), or with 125 and a report;
it never crashes, hangs, or writes where it should not.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from monitor.harness import MEMORY, Done, build_guest, run

# The rings of the tests: descriptors, available and used ring of both queues, buffers.
DESC0, AVAIL0, USED0 = 0x200000, 0x201000, 0x202000
DESC1, AVAIL1, USED1 = 0x203000, 0x204000, 0x205000
BUFFER, TABLE = 0x210000, 0x220000
SIZE = 0x40
FULL = 0xFFFFFFFFFFFFFFFF
STDIO, STDERR, RNG, WINDOW = 0, 1, 2, 0x1000
NEXT, WRITE, INDIRECT = 1, 2, 4
BAD_RING = "the guest's ring is malformed"
RAM_END = (2 << 20) + MEMORY  # the image ends below 2 MiB


def words(*items: int | str) -> str:
    return " ".join(item if isinstance(item, str) else f"{item:x}" for item in items)


def activate(device: int) -> str:
    queue1 = [1, SIZE, DESC1, AVAIL1, USED1] if device != RNG else []
    return words("a", device, 0, SIZE, DESC0, AVAIL0, USED0, *queue1, ";")


def descriptor(i: int, address: int, length: int, flags: int = 0, following: int = 0) -> str:
    return words("d", DESC1, i, address, length, flags, following)


def indirect(i: int, address: int, length: int, flags: int = 0, following: int = 0) -> str:
    return words("d", TABLE, i, address, length, flags, following)


def offer(*heads: int, index: int | None = None) -> str:
    """Put heads into queue 1's available ring and set its index."""
    entries = [words("m2", AVAIL1 + 4 + 2 * i, head) for i, head in enumerate(heads)]
    entries.append(words("m2", AVAIL1 + 2, len(heads) if index is None else index))
    return " ".join(entries)


def notify(device: int, queue: int = 1) -> str:
    return words("w", 4, WINDOW * (device + 1) + 0x50, queue)


# What a transmit queue of the console is made to look like before it is notified.
WILD_RINGS = {
    "descriptor beyond memory": [descriptor(0, 0x40000000, 16), offer(0)],
    "descriptor across the end": [descriptor(0, RAM_END - 8, 0x10000), offer(0)],
    "address overflows": [descriptor(0, FULL - 7, 16), offer(0)],
    "address of all ones": [descriptor(0, FULL, 0xFFFFFFFF), offer(0)],
    "length of all ones": [descriptor(0, BUFFER, 0xFFFFFFFF), offer(0)],
    "registers as a buffer": [descriptor(0, 0xD0000000, 4), offer(0)],
    "chain to itself": [descriptor(0, BUFFER, 4, NEXT, 0), offer(0)],
    "chain in a circle": [
        descriptor(0, BUFFER, 4, NEXT, 1),
        descriptor(1, BUFFER, 4, NEXT, 2),
        descriptor(2, BUFFER, 4, NEXT, 0),
        offer(0),
    ],
    "circle of empty buffers": [descriptor(0, BUFFER, 0, NEXT, 0), offer(0)],
    "next beyond the table": [descriptor(0, BUFFER, 4, NEXT, SIZE), offer(0)],
    "next far beyond the table": [descriptor(0, BUFFER, 4, NEXT, 0xFFFF), offer(0)],
    "head beyond the table": [offer(SIZE)],
    "head far beyond the table": [offer(0xFFFF)],
    "index jumps ahead": [offer(0, index=SIZE + 1)],
    "index jumps far ahead": [offer(0, index=0x8000)],
    "index goes back": [offer(0, index=0xFFFF)],
    "readable after writable": [
        descriptor(0, BUFFER, 4, NEXT | WRITE, 1),
        descriptor(1, BUFFER, 4),
        offer(0),
    ],
    "indirect beyond memory": [descriptor(0, 0x40000000, 16, INDIRECT), offer(0)],
    "indirect overflows": [descriptor(0, FULL - 15, 32, INDIRECT), offer(0)],
    "indirect unaligned": [descriptor(0, TABLE + 1, 16, INDIRECT), offer(0)],
    "indirect of no length": [descriptor(0, TABLE, 0, INDIRECT), offer(0)],
    "indirect of odd length": [descriptor(0, TABLE, 24, INDIRECT), offer(0)],
    "indirect of huge length": [descriptor(0, TABLE, 0xFFFFFFF0, INDIRECT), offer(0)],
    "indirect of too many": [descriptor(0, TABLE, 16 * 257, INDIRECT), offer(0)],
    "indirect with next": [descriptor(0, TABLE, 16, INDIRECT | NEXT, 1), offer(0)],
    "indirect in a chain": [
        descriptor(0, BUFFER, 4, NEXT, 1),
        descriptor(1, TABLE, 16, INDIRECT),
        offer(0),
    ],
    "indirect nested": [
        indirect(0, TABLE, 16, INDIRECT),
        descriptor(0, TABLE, 16, INDIRECT),
        offer(0),
    ],
    "indirect in a circle": [
        indirect(0, BUFFER, 1, NEXT, 1),
        indirect(1, BUFFER, 1, NEXT, 0),
        descriptor(0, TABLE, 32, INDIRECT),
        offer(0),
    ],
    "indirect next beyond it": [
        indirect(0, BUFFER, 1, NEXT, 2),
        descriptor(0, TABLE, 32, INDIRECT),
        offer(0),
    ],
    "indirect buffer beyond memory": [
        indirect(0, FULL - 3, 8),
        descriptor(0, TABLE, 16, INDIRECT),
        offer(0),
    ],
}


def status_of(device: int) -> str:
    return words("r", 4, WINDOW * (device + 1) + 0x70)


@pytest.mark.parametrize("name", WILD_RINGS)
def test_wild_ring_stops_the_device_not_the_monitor(name: str) -> None:
    script = [activate(STDIO), *WILD_RINGS[name], notify(STDIO), status_of(STDIO), "x 11"]
    done = run("script", cmdline=" ".join(script))
    assert done.status == 0x11
    assert done.stdout == b""
    assert BAD_RING in done.log
    assert done.numbers("read") == [0x4F]  # DEVICE_NEEDS_RESET


@pytest.mark.parametrize("name", WILD_RINGS)
def test_wild_ring_found_at_activation_or_exit(name: str) -> None:
    """The same without a notification: the device looks when it starts and when the VM ends."""
    script = [*WILD_RINGS[name], activate(STDIO), "x 12"]
    done = run("script", cmdline=" ".join(script))
    assert (done.status, done.stdout) == (0x12, b"")


def test_device_works_again_after_a_reset() -> None:
    script = [
        activate(STDIO),
        *WILD_RINGS["chain to itself"],
        notify(STDIO),
        words("m", BUFFER, int.from_bytes(b"fine now", "little")),
        words("m2", AVAIL1 + 2, 0),
        words("m2", USED1 + 2, 0),
        activate(STDIO),
        descriptor(0, BUFFER, 8),
        offer(0),
        notify(STDIO),
        status_of(STDIO),
        "x 0",
    ]
    done = run("script", cmdline=" ".join(script))
    assert (done.status, done.stdout) == (0, b"fine now")
    assert done.numbers("read") == [0xF]


def test_floods_of_complaints_are_cut() -> None:
    break_it = " ".join([activate(STDIO), *WILD_RINGS["chain to itself"], notify(STDIO)])
    done = run("script", cmdline=" ".join([break_it] * 60 + ["x 1"]))
    assert done.status == 1
    assert 1 <= done.log.count(BAD_RING) <= 32


HARMLESS = {
    "chain of empty buffers": [descriptor(0, BUFFER, 0), offer(0)],
    "writable buffers in an output queue": [descriptor(0, BUFFER, 4, WRITE), offer(0)],
    "input queue is written to as output": [notify(STDIO, 0)],
    "notification of a queue that is not there": [notify(STDIO, 99), notify(STDIO, 0xFFFFFFFF)],
    "used ring over the available ring": [
        words("a", STDIO, 0, SIZE, DESC0, AVAIL0, USED0, 1, SIZE, DESC1, AVAIL1, AVAIL1, ";"),
        descriptor(0, BUFFER, 0),
        offer(0),
        notify(STDIO),
    ],
    "used ring over the page tables' last page": [
        words("a", STDIO, 0, SIZE, DESC0, AVAIL0, USED0, 1, SIZE, DESC1, AVAIL1, 0x9E000, ";"),
        descriptor(0, BUFFER, 0),
        offer(0),
        notify(STDIO),
    ],
    "ring over the monitor's own pages": [
        words("a", STDIO, 0, SIZE, 0x1000, 0x2000, 0x3000, 1, SIZE, 0xD000, 0xE000, 0xF000, ";")
    ],
}


@pytest.mark.parametrize("name", HARMLESS)
def test_odd_but_harmless(name: str) -> None:
    done = run("script", cmdline=" ".join([activate(STDIO), *HARMLESS[name], "t 186a0", "x 13"]))
    assert done.status == 0x13


# (device, queue, size, descriptors, available, used): refused, and the device is as before
SETUPS = [
    (STDIO, 0, 0, DESC0, AVAIL0, USED0),
    (STDIO, 0, 3, DESC0, AVAIL0, USED0),
    (STDIO, 0, 512, DESC0, AVAIL0, USED0),
    (STDIO, 0, 0x80000000, DESC0, AVAIL0, USED0),
    (STDIO, 0, 0xFFFFFFFF, DESC0, AVAIL0, USED0),
    (STDIO, 0, SIZE, DESC0 + 8, AVAIL0, USED0),
    (STDIO, 0, SIZE, DESC0, AVAIL0 + 1, USED0),
    (STDIO, 0, SIZE, DESC0, AVAIL0, USED0 + 2),
    (STDIO, 0, SIZE, FULL & ~15, AVAIL0, USED0),
    (STDIO, 0, SIZE, DESC0, FULL & ~1, USED0),
    (STDIO, 0, SIZE, DESC0, AVAIL0, FULL & ~3),
    (STDIO, 0, SIZE, 0xD0000000, AVAIL0, USED0),
    (STDIO, 0, SIZE, 1 << 63, AVAIL0, USED0),
    (STDIO, 0, SIZE, RAM_END - 512, AVAIL0, USED0),
    (99, 0, SIZE, DESC0, AVAIL0, USED0),
    (0xFFFFFFFF, 0, SIZE, DESC0, AVAIL0, USED0),
]


@pytest.mark.parametrize("setup", SETUPS, ids=[words(*setup) for setup in SETUPS])
def test_wrong_setup_is_refused(setup: tuple[int, ...]) -> None:
    done = run("script", cmdline=f"{words('a', *setup)} ; {status_of(STDIO)} x 14")
    assert done.status == 0x14
    assert done.numbers("result")[0] in (22, 19)
    assert done.numbers("read") == [0]


def test_queues_beyond_the_device_are_refused() -> None:
    queue = words(0, SIZE, DESC0, AVAIL0, USED0)
    for count in (3, 4):
        script = "a 0 " + " ".join(queue.replace("0", str(i), 1) for i in range(count)) + " ; x 1"
        assert run("script", cmdline=script).numbers("result") == [22]
    assert run("script", cmdline="a 0 ; x 1").numbers("result") == [22]


@pytest.mark.parametrize("count", [0, 0x1A, 0x1B, 0x1000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_activation_of_any_number_of_entries(count: int) -> None:
    assert run("script", cmdline=words("A", count, "x", 0x15)).status == 0x15


@pytest.mark.parametrize("count", [0, 1, 0xFFF, 0x1000, 0x1001, 0x7FFFFFFF, 0xFFFFFFFF])
def test_log_of_any_length_stays_within_its_page(count: int) -> None:
    done = run("script", cmdline=words("l", count, "x", 0x16))
    assert (done.status, len(done.log)) == (0x16, min(count, 0x1000))


@pytest.mark.parametrize("value", [0, 1, 255, 256, 0x80000000, 0xFFFFFFFF])
def test_exit_status_is_eight_bits(value: int) -> None:
    assert run("script", cmdline=words("x", value)).status == value & 0xFF


def test_waits_of_any_length_do_not_overflow() -> None:
    # the longest ones end with the signal that the test would send; here: short and odd ones
    assert run("script", cmdline="t 0 t 1 t 3b9aca00 x 17").status == 0x17


def test_every_register_in_every_width() -> None:
    assert run("script", cmdline="W W x 18").status == 0x18
    assert run("script", cmdline=f"{activate(STDIO)} W {notify(STDIO)} x 18").status == 0x18


STATUSES = [1, 3, 0xB, 0xF, 4, 0x40, 0x80, 0xFF, 0xFFFFFFFF]


@pytest.mark.parametrize("status", STATUSES)
def test_status_alone_never_starts_a_device_without_features(status: int) -> None:
    write, notification = words("w", 4, 0x1070, status), notify(STDIO)
    script = f"{write} {status_of(STDIO)} {notification} x 19"
    done = run("script", cmdline=script)
    assert done.status == 0x19
    assert not done.numbers("read")[0] & 8  # FEATURES_OK needs VIRTIO_F_VERSION_1


def register_script(ready: str) -> str:
    """Set up queue 1 through the registers, with ``ready`` in the place of QueueReady = 1."""
    writes = [
        *[(0x70, 1), (0x70, 3)],
        *[(0x24, 1), (0x20, 1), (0x24, 0), (0x20, 0), (0x70, 0xB)],
        *[(0x30, 1), (0x38, SIZE), (0x80, DESC1), (0x84, 0), (0x90, AVAIL1), (0xA0, USED1)],
    ]
    return " ".join(words("w", 4, WINDOW + at, value) for at, value in writes) + " " + ready


def test_registers_set_a_device_up_as_activation_does() -> None:
    script = [
        register_script(words("w", 4, WINDOW + 0x44, 1, "r", 4, WINDOW + 0x44)),
        words("w", 4, WINDOW + 0x70, 0xF),
        words("m", BUFFER, int.from_bytes(b"by mmio\n", "little")),
        descriptor(0, BUFFER, 8),
        offer(0),
        notify(STDIO),
        "x 0",
    ]
    done = run("script", cmdline=" ".join(script))
    assert (done.status, done.stdout) == (0, b"by mmio\n")
    assert done.numbers("read") == [1]


@pytest.mark.parametrize(
    ("offset", "value"),
    [(0x38, 0), (0x38, 3), (0x38, 512), (0x80, 8), (0x84, 0xFFFFFFFF), (0x94, 1), (0xA0, 2)],
)
def test_queue_with_wrong_registers_does_not_get_ready(offset: int, value: int) -> None:
    wrong = words("w", 4, WINDOW + offset, value, "w", 4, WINDOW + 0x44, 1, "r", 4, WINDOW + 0x44)
    done = run("script", cmdline=register_script(wrong) + " w 4 1070 f " + notify(STDIO) + " x 1")
    assert (done.status, done.numbers("read")) == (1, [0])


def test_queue_that_is_ready_cannot_be_moved() -> None:
    move = words("w", 4, WINDOW + 0x44, 1, "w", 4, WINDOW + 0x84, 0xFFFFFFFF, "w", 4, 0x1070, 0xF)
    script = [register_script(move), descriptor(0, BUFFER, 4), offer(0), notify(STDIO), "x 0"]
    done = run("script", cmdline=" ".join(script))
    assert (done.status, done.stdout) == (0, bytes(4))


# Faults that the guest's own handler sees (status: 0x60 + vector) ...
FAULTS = {
    "jump to nothing": ("j 1234", 14),
    "jump to data": (words("j", 0x200000000000 + BUFFER), 14),
    "jump to the registers": ("j 3800d0000000", 14),
    "jump to an address that is not canonical": ("j 8000000000000000", 13),
    "write to text": ("v 100000105000", 14),
    "write to the descriptor tables": ("v 100000102000", 14),
    "write to page 0": ("v 0", 14),
    "write to the registers' physical address": ("v d0000000", 14),
}
# ... and what ends the VM.
FATAL = {
    "physical address without anything": "v 3800d0100000",
    "physical address below the registers": "v 3800d0011000",
    "I/O port": "s 3f8",
    "jump into a gate": "j 100000100000",
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_the_guests_own(name: str) -> None:
    script, vector = FAULTS[name]
    done = run("script", cmdline=script)
    assert (done.status, done.log) == (0x60 + vector, f"trap {vector}\n")


@pytest.mark.parametrize("name", FATAL)
def test_what_cannot_go_on_gets_a_report(name: str) -> None:
    done = run("script", cmdline=FATAL[name])
    assert_reported(done)


def assert_reported(done: Done) -> None:
    if done.status >= 0x60 and done.status < 0x60 + 64:
        return  # the guest caught it itself
    assert done.status == 125
    assert done.log.count("kernlet-monitor: the guest's processor stopped: ") == 1
    assert "rip " in done.log


def test_guest_that_destroys_its_own_tables_gets_a_report() -> None:
    # the root of the page tables, then an exception: the processor cannot even find its gates
    done = run("script", cmdline=words("m", 0x10000 + 8 * 32, 0, "v", 0))
    assert_reported(done)


def test_guest_without_descriptor_tables_gets_a_report() -> None:
    clear = " ".join(words("m", 0x102000 + 8 * i, 0) for i in range(128))
    assert_reported(run("script", cmdline=f"{clear} v 0"))


def test_image_file_is_never_written(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(build_guest("script").read_bytes())
    before = hashlib.sha256(image.read_bytes()).digest()
    clear = " ".join(words("m", 0x101800 + 8 * i, FULL) for i in range(8))
    assert run(image, cmdline=f"{clear} m 106f00 {FULL:x} m 102ff8 {FULL:x} x 1").status == 1
    assert hashlib.sha256(image.read_bytes()).digest() == before


def test_random_requests_fill_only_what_they_may() -> None:
    """A huge request to the entropy device ends in a bounded answer."""
    script = [
        activate(RNG),
        words("d", DESC0, 0, 0x300000, 0x400000, WRITE, 0),
        words("m2", AVAIL0 + 4, 0, "m2", AVAIL0 + 2, 1),
        notify(RNG, 0),
        "t 5f5e100",
        "x 0",
    ]
    assert run("script", cmdline=" ".join(script)).status == 0
