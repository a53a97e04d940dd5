# SPDX-License-Identifier: Apache-2.0
"""From manifests to a linked library OS, on a small tree."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section, SymbolTableSection

from kernlet.kernel import (
    CompileError,
    ImageConfig,
    KernelBuild,
    LinkError,
    ManifestError,
    ModuleCheckError,
    SourceTree,
    build_kernel,
    compile_modules,
)
from kernlet.kernel._prune import prune


def build(tree: SourceTree, cache: Path, **more: object) -> KernelBuild:
    return build_kernel(tree=tree, cache=cache, **more)  # type: ignore[arg-type]


def symbol_values(elf: ELFFile) -> dict[str, int]:
    table = elf.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}


def section(elf: ELFFile, name: str) -> Section:
    found = elf.get_section_by_name(name)
    assert found is not None
    return found


def edit(tree: SourceTree, path: str, old: str, new: str) -> None:
    file = tree.lib / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_links_at_the_addresses_of_the_layout(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    result = build(kernel_tree, kernel_cache)
    layout = kernel_tree.layout
    with result.elf.open("rb") as file:
        elf = ELFFile(file)
        loads = [s for s in elf.iter_segments() if s["p_type"] == "PT_LOAD"]
        symbols = symbol_values(elf)
        gate = section(elf, ".kl.gate")
        stack = section(elf, ".kl.trapstack")
        text = section(elf, ".text")
        assert gate["sh_addr"] == layout["KL_GATE_SYSCALL_VA"]
        assert stack["sh_addr"] == layout["KL_BASE_VA"] + layout["KL_TRAP_STACK_PA"]
        assert elf["e_entry"] == symbols["kl_start"]
    for segment in loads:
        assert segment["p_vaddr"] == layout["KL_BASE_VA"] + segment["p_paddr"]
        assert segment["p_paddr"] % 4096 == 0
        assert segment["p_flags"] & 3 != 3, "nothing is both written and executed"
    flags = {segment["p_paddr"]: segment["p_flags"] for segment in loads}
    assert flags[layout["KL_STUB_PA"]] == 5
    assert flags[layout["KL_TABLE_PA"]] == 6
    assert flags[layout["KL_KERNEL_PA"]] == 5
    assert text["sh_addr"] == layout["KL_BASE_VA"] + layout["KL_KERNEL_PA"]
    assert text["sh_addr"] + text["sh_size"] == symbols["kl_exit_end"] > symbols["kl_exit_start"]
    assert result.syscalls == ("fcntl", "read")
    assert result.sizes.bss >= 10000 + 2 * 4096


def test_same_input_gives_same_bytes_in_another_directory(
    kernel_tree: SourceTree, tmp_path: Path
) -> None:
    other = SourceTree(tmp_path / "elsewhere" / "deeper")
    shutil.copytree(kernel_tree.root, other.root)
    first = build(kernel_tree, tmp_path / "cache1").elf.read_bytes()
    second = build(other, tmp_path / "cache2").elf.read_bytes()
    assert first == second


def test_compiles_only_what_has_changed(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    assert build(kernel_tree, kernel_cache).compiled == 6
    time.sleep(0.01)
    assert build(kernel_tree, kernel_cache).compiled == 0
    edit(kernel_tree, "beta/beta.c", "kl_alpha(1) - 2", "kl_alpha(1) - 1")
    assert build(kernel_tree, kernel_cache).compiled == 1
    edit(kernel_tree, "alpha/include/kl/alpha.h", "int kl_alpha(int x);", "int kl_alpha(int y);")
    assert build(kernel_tree, kernel_cache).compiled == 2
    assert build(kernel_tree, kernel_cache, config=ImageConfig(argv=("/bin/x",))).compiled == 1


def test_change_of_a_header_changes_the_result(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    first = build(kernel_tree, kernel_cache)
    edit(kernel_tree, "alpha/module.toml", "KL_ALPHA_SIZE = 3", "KL_ALPHA_SIZE = 5")
    assert build(kernel_tree, kernel_cache).elf.read_bytes() != first.elf.read_bytes()


def test_settings_are_in_the_image(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    odd = 'a "quoted" \\ back\nslash ??/ Ü'
    config = ImageConfig(argv=("/bin/x", odd), env=(("HOME", "/root"),), cwd="/srv")
    data = build(kernel_tree, kernel_cache, config=config).elf.read_bytes()
    for text in ("/bin/x", odd, "HOME=/root", "/srv"):
        assert text.encode() + b"\0" in data


def test_pvh_entry_is_kept(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    names = ["alpha", "beta", "delta"]
    with build(kernel_tree, kernel_cache, modules=names).elf.open("rb") as file:
        entry = symbol_values(ELFFile(file))["kl_pvh_start"]
    assert entry == kernel_tree.layout["KL_BASE_VA"] + kernel_tree.layout["KL_KERNEL_PA"]


def test_unexported_symbol_is_refused(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    edit(kernel_tree, "alpha/module.toml", '"kl_alpha"]', '"kl_alpha_init"]')
    with pytest.raises(
        ModuleCheckError,
        match=r"beta: beta\.c uses kl_alpha, defined in alpha but not in its exports",
    ):
        build(kernel_tree, kernel_cache)


def test_symbol_of_a_capability_not_required_is_refused(
    kernel_tree: SourceTree, kernel_cache: Path
) -> None:
    edit(kernel_tree, "beta/module.toml", 'requires = ["alpha"]', "requires = []")
    with pytest.raises(
        ModuleCheckError, match=r'kl_alpha, exported by alpha: add "alpha" to its requires'
    ):
        build(kernel_tree, kernel_cache)


def test_symbol_of_nobody_is_refused(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    edit(kernel_tree, "beta/beta.c", "kl_alpha(1)", "kl_beta_init_other()")
    edit(
        kernel_tree,
        "beta/beta.c",
        "int kl_beta_init(void);",
        "int kl_beta_init(void);\nint kl_beta_init_other(void);",
    )
    with pytest.raises(ModuleCheckError, match="kl_beta_init_other, which no module exports"):
        build(kernel_tree, kernel_cache)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "fcntl"', 'name = "write"', r"system call write: kl_sys_write\(\) is not defined"),
        (
            '"kl_beta_init"',
            '"kl_beta_start"',
            r"start-up function kl_beta_start\(\) is not defined",
        ),
        (
            'provides = ["beta"',
            'exports = ["kl_no"]\nprovides = ["beta"',
            "exports kl_no, which it does not define",
        ),
    ],
)
def test_manifest_that_promises_too_much_is_refused(
    kernel_tree: SourceTree, kernel_cache: Path, old: str, new: str, message: str
) -> None:
    edit(kernel_tree, "beta/module.toml", old, new)
    with pytest.raises(ModuleCheckError, match=message):
        build(kernel_tree, kernel_cache)


def test_unknown_system_call_is_refused(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    edit(kernel_tree, "beta/module.toml", 'name = "fcntl"', 'name = "fcntl65"')
    with pytest.raises(ManifestError, match="no system call named 'fcntl65'"):
        build(kernel_tree, kernel_cache)


def test_compiler_error_names_module_and_line(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    edit(kernel_tree, "beta/beta.c", "kl_alpha(1) - 2", "kl_alpha(1) - oops")
    with pytest.raises(CompileError, match=r"beta: .*beta\.c does not compile: .*oops") as caught:
        build(kernel_tree, kernel_cache)
    assert "oops" in caught.value.output


def test_two_broken_files_are_both_shown(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    for module in ("alpha", "beta"):
        (kernel_tree.lib / module / f"{module}.c").write_text(f"#error broken {module}\n")
    with pytest.raises(CompileError) as caught:
        build(kernel_tree, kernel_cache)
    assert "broken alpha" in caught.value.output
    assert "broken beta" in caught.value.output


def test_section_without_a_place_is_refused(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    edit(
        kernel_tree,
        "alpha/alpha.c",
        "static volatile int table",
        '__attribute__((section("odd"))) static volatile int table',
    )
    with pytest.raises(LinkError, match="odd"):
        build(kernel_tree, kernel_cache)


def test_damaged_cache_is_made_again(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    build(kernel_tree, kernel_cache)
    time.sleep(0.01)
    build(kernel_tree, kernel_cache)
    for record in (kernel_cache / "records").iterdir():
        record.write_text("{")
    assert build(kernel_tree, kernel_cache).compiled == 6


def test_old_cache_files_go(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    build(kernel_tree, kernel_cache)
    files = [path for path in kernel_cache.rglob("*") if path.is_file()]
    assert prune(kernel_cache) == 0
    assert prune(kernel_cache, now=time.time() + 31 * 24 * 3600) == len(files)
    assert build(kernel_tree, kernel_cache).compiled == 6


def test_module_for_speed_is_compiled_so(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    build(kernel_tree, kernel_cache)
    edit(kernel_tree, "beta/module.toml", 'name = "beta"', 'name = "beta"\noptimize = "speed"')
    assert build(kernel_tree, kernel_cache).compiled == 1


def test_debugging_information_is_not_loaded(kernel_tree: SourceTree, tmp_path: Path) -> None:
    plain = build(kernel_tree, tmp_path / "cache")
    debug = build(kernel_tree, tmp_path / "cache", debug=True)
    with debug.elf.open("rb") as file:
        assert section(ELFFile(file), ".debug_info")["sh_size"] > 0
    assert debug.sizes == plain.sizes
    assert str(tmp_path).encode() not in debug.elf.read_bytes()


def test_modules_can_be_compiled_alone(kernel_tree: SourceTree, kernel_cache: Path) -> None:
    objects = compile_modules(["gamma", "arch"], tree=kernel_tree, cache=kernel_cache)
    assert sorted(item.unit.source.name for item in objects) == ["gamma.c", "main.c", "start.S"]
    assert objects[0].symbols.defined == {"kl_gamma"}
