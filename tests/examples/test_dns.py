# SPDX-License-Identifier: Apache-2.0
"""The DNS example as an ordinary Linux program."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.dns_checks import CHECKS, Address, check_slow_client, dig, wait_until_it_answers
from examples.native import free_port

ROOT = Path(__file__).resolve().parents[2]
DNS = ROOT / "examples" / "dns"
SOA = "@ 60 SOA ns hostmaster 1 2 3 4 5\n"


@pytest.fixture(scope="module")
def program() -> Path:
    subprocess.run(["make", "-s", "-C", DNS], check=True, timeout=120)
    return DNS / "build" / "dns"


@pytest.fixture(scope="module")
def at(program: Path) -> Iterator[Address]:
    number = free_port()
    command = [str(program), "-p", str(number), str(DNS / "example.zone")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        expected = (DNS / "expected.txt").read_text()
        assert process.stdout.readline() == expected.replace("port 53", f"port {number}")
        yield "127.0.0.1", number
        assert process.poll() is None
        process.kill()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_native(check: Callable[[Address], None], at: Address) -> None:
    check(at)


@pytest.mark.slow
def test_slow_client(at: Address) -> None:
    check_slow_client(at)


def run(program: Path, zone: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [str(program), *argv, str(zone)]
    return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 0, "not a file with a zone in it"),
        ("; nothing\n", 0, "there is no record in it"),
        ("@ A 192.0.2.1\n", 1, "relative and there is no $ORIGIN"),
        ("$ORIGIN a.test.\n@ A 192.0.2.1\n", 2, "has no TTL"),
        ("$ORIGIN a.test.\n@ 1 A 192.0.2.1\n", 2, "the first record must be the SOA"),
        ("$ORIGIN a.test.\n" + SOA, 0, "the zone has no NS record"),
        ("$ORIGIN a.test.\n" + SOA + "x A 192.0.2\n", 3, "a word of the record is wrong"),
        ("$ORIGIN a.test.\n" + SOA + "x A 192.0.2.1 x\n", 3, "too many words"),
        ("$ORIGIN a.test.\n" + SOA + "x MX 10\n", 3, "too few words"),
        ("$ORIGIN a.test.\n" + SOA + "x MX 65536 y\n", 3, "a word of the record is wrong"),
        ("$ORIGIN a.test.\n" + SOA + "x.b. A 192.0.2.1\n", 3, "outside of the zone"),
        ("$ORIGIN a.test.\n" + SOA + "x WKS 1\n", 3, "type or class is unknown"),
        ("$ORIGIN a.test.\n" + SOA + "x CNAME y\nx A 192.0.2.1\n", 4, "CNAME"),
        ("$ORIGIN a.test.\n" + SOA + "x TXT (a\n\n", 3, "a parenthesis is not closed"),
        ("$ORIGIN a.test.\n" + SOA + 'x TXT "a\n', 3, "a quoted text has no end"),
        ("$ORIGIN a.test.\n" + SOA + f"{'x' * 64} A 192.0.2.1\n", 3, "the record's name is wrong"),
        ("$ORIGIN a.test.\n" + SOA + f"x TXT {'x' * 256}\n", 3, "a word of the record is wrong"),
        ("$INCLUDE other\n", 1, "only $ORIGIN and $TTL are known"),
        ("$ORIGIN a.test.\n" + SOA + "x TYPE99 \\# 2 0a\n", 3, "\\# LENGTH HEX"),
    ],
)
def test_wrong_zones_are_explained(
    text: str, line: int, what: str, program: Path, tmp_path: Path
) -> None:
    zone = tmp_path / "zone"
    zone.write_text(text)
    done = run(program, zone)
    place = f"dns: {zone}:{line}: " if line else f"dns: {zone}: "
    assert done.returncode == 1
    assert done.stderr.startswith(place), done.stderr
    assert what in done.stderr


def test_a_zone_of_many_names(program: Path, tmp_path: Path) -> None:
    zone = tmp_path / "zone"
    hosts = "".join(f"host{n}.rack{n % 97} A 10.0.{n // 256}.{n % 256}\n" for n in range(20000))
    zone.write_text(f"$TTL 60\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns\n{hosts}")
    number = free_port()
    many = ("127.0.0.1", number)
    # The origin comes from the command line here.
    assert run(program, zone).returncode == 1
    command = [str(program), "-p", str(number), str(zone), "many.test."]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until_it_answers(many, 5)
            for n in (0, 9999, 19999):
                answer = dig(many, f"host{n}.rack{n % 97}.many.test.")
                assert answer.records == [f"A 10.0.{n // 256}.{n % 256}"]
            assert dig(many, "host1.rack2.many.test.").status == "NXDOMAIN"
        finally:
            process.kill()


def test_the_longest_name(program: Path, tmp_path: Path) -> None:
    """255 octets with all length octets, written relative and absolute; one more is refused."""
    longest = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 56])
    zone = tmp_path / "zone"
    text = f"$ORIGIN test.\n{SOA} NS ns\n{longest} A 192.0.2.1\n{longest}.test. A 192.0.2.2\n"
    zone.write_text(text)
    number = free_port()
    command = [str(program), "-p", str(number), str(zone)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until_it_answers(("127.0.0.1", number), 5)
            answer = dig(("127.0.0.1", number), f"{longest}.test.")
            assert answer.records == ["A 192.0.2.1", "A 192.0.2.2"]
        finally:
            process.kill()
    for name in (f"{longest}d", f"{longest}d.test."):
        zone.write_text(text + f"{name} A 192.0.2.3\n")
        assert "the record's name is wrong" in run(program, zone).stderr


def test_wrong_use_is_explained(program: Path, tmp_path: Path) -> None:
    assert "No such file" in run(program, tmp_path / "none").stderr
    assert "not a file" in run(program, tmp_path).stderr
    assert "is not a port" in run(program, tmp_path, "-p", "65536").stderr
    assert "usage" in subprocess.run([program], capture_output=True, text=True, timeout=5).stderr
