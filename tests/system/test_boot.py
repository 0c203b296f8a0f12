"""From power-on to dom0's prompt, by every road there is; and what a boot that cannot work says."""
import re

import pytest

from machine import Machine, built

ROADS = [
    pytest.param("amd", {"boot": "multiboot"}, id="qemu-multiboot"),
    pytest.param("amd", {"boot": "pvh"}, id="qemu-pvh"),
    pytest.param("amd", {"boot": "iso", "firmware": "bios"}, id="grub-bios"),
    pytest.param("amd", {"boot": "iso", "firmware": "uefi"}, id="grub-uefi"),
    pytest.param("intel", {}, id="bochs"),
]


@pytest.mark.parametrize("vendor, road", ROADS)
def test_roads(vendor, road):
    with Machine(vendor, **road) as machine:
        machine.boot(timeout=40)
        if road.get("boot") != "pvh":  # which has no archive
            assert "debian.cfg" in machine.run("ls")
        assert re.search(r"^Name .*\nDomain-0 +0 ", machine.run("list"))
        machine.send("poweroff\r")
        machine.wait_end()


@pytest.mark.parametrize("vendor", ["amd", "intel"])
@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_cpus(vendor, cpus):
    with Machine(vendor, smp=cpus) as machine:
        machine.boot(timeout=20 * cpus)
        assert machine.run("info nr_cpus").strip() == str(cpus)


def test_restart():
    with Machine("amd") as machine:
        machine.boot()
        machine.send("restart\r")
        machine.boot()


def test_reset_ends_where_asked():
    with Machine("amd", options=["--once"]) as machine:
        machine.boot()
        machine.send("restart\r")
        machine.wait_end()


def test_noreboot():
    with Machine("amd", cmdline="noreboot", options=["--once"]) as machine:
        machine.boot()
        machine.send("restart\r")
        machine.wait("noreboot")
        machine.send("\x14x")
        machine.wait_end()


def test_unknown_option():
    with Machine("amd", cmdline="dom0_mam=64M") as machine:
        line = machine.wait_match(r"^.*dom0_mam.*(?<!dom0_mam)dom0_mem.*$")[1]
        assert line
        machine.boot()


def test_small_machine():
    with Machine("amd", mem=256, dom0_mem="96M") as machine:
        machine.boot()
        assert int(machine.run("info total_memory")) <= 256


class TestBootsThatCannotWork:
    """Each ends in one line that says what is wrong and what to do."""

    def refused(self, pattern, **setup):
        with Machine("amd", options=setup.pop("options", ()), **setup) as machine:
            machine.wait(pattern, timeout=15)

    def test_no_module(self):
        self.refused(r"no boot module", modules=[])

    def test_no_svm(self):
        self.refused(r"(?i)\b(SVM|VMX|virtuali[sz]ation)\b", options=["--cpu", "EPYC,-svm,-monitor"])

    def test_no_npt(self):
        self.refused(r"(?i)nested pag|\bNPT\b", options=["--cpu", "EPYC,+svm,-npt,-monitor"])

    def test_dom0_is_no_kernel(self, tmp_path):
        noise = tmp_path / "noise"
        noise.write_bytes(bytes((i * 7919 >> 3) & 0xff for i in range(100000)))
        self.refused(r"(?i)dom0.*(ELF|kernel)", modules=[str(noise)])

    def test_dom0_is_cut_short(self, tmp_path):
        short = tmp_path / "short"
        with open(built("dom0"), "rb") as whole:
            short.write_bytes(whole.read(9000))
        self.refused(r"(?i)dom0.*(ELF|kernel|segment)", modules=[str(short)])

    def test_dom0_has_no_note(self, tmp_path):
        # A good ELF that is no PVH kernel.
        self.refused(r"(?i)dom0.*(PVH|note|ELF)", modules=["/bin/busybox"])

    def test_too_little_memory(self):
        self.refused(r"(?i)memory", dom0_mem="900M", mem=256)

    def test_archive_cut_short(self, tmp_path):
        short = tmp_path / "archive.cpio"
        with open(built("archive.cpio"), "rb") as whole:
            short.write_bytes(whole.read(1000000))
        with Machine("amd", [built("dom0"), str(short)]) as machine:
            machine.wait(r"(?i)archive")
            machine.boot()
            machine.run("ls")

    def test_no_archive(self):
        with Machine("amd", [built("dom0")]) as machine:
            machine.boot()
            assert "debian" in machine.run("create debian")
