"""Drives that fail: bad sectors end in errors for those who read them, drives that are pulled out in theirs, and nothing else stops."""
import pytest

from machine import Machine, built, guest_config, make_archive

MIB = 1 << 20
FILES = {"blk": built("guest/blk")}
CONTROLLERS = ("-device pcie-root-port,id=port1,slot=1,chassis=1 -device pcie-root-port,id=port2,slot=2,chassis=2 "
               "-device nvme,drive=nvme,serial=1,bus=port1 -device ich9-ahci,id=ahci,bus=port2,addr=0 "
               "-device ide-hd,drive=sata,bus=ahci.0")


def config(name, target, words):
    return guest_config(name, "blk", memory=32, extra=words) + f'disk = [ "{target},raw,xvda,rw" ]\n'


@pytest.fixture
def start(tmp_path):
    """A machine with an NVMe and a SATA drive over these images, prefix standing before their names."""
    def machine(prefix, *more):
        options = list(more)
        for name in "nvme", "sata":
            with open(tmp_path / name, "wb") as file:
                file.truncate(16 * MIB)
            options += ["--qemu", f"-drive file={prefix}{tmp_path / name},if=none,id={name},format=raw"]
        configs = {f"{name}.cfg": config(name, target, words)
                   for target, name in (("nvme0n1", "nvme"), ("sda", "sata"), ("vda", "other"))
                   for words in ["seconds=1 start=8 region=4" if prefix else "seconds=60 region=4"]}
        archive = make_archive(tmp_path, {**FILES, **configs})
        return Machine("amd", [built("dom0"), archive], options=[*options, "--qemu", CONTROLLERS])
    return machine


def test_bad_sector(start, tmp_path):
    (tmp_path / "errors").write_text('[inject-error]\nevent = "read_aio"\nerrno = "5"\nsector = "0"\n')
    with start(f"blkdebug:{tmp_path / 'errors'}:") as machine:
        machine.boot(30)
        for disk in "nvme0n1", "sda":
            assert f"{disk}: read of 8 sectors at 0 failed" in machine.log
        for name in "nvme", "sata":
            assert "VERDICT blk: PASS" in machine.run(f"create -c {name}.cfg", 40)


def test_pulled_out(start, tmp_path):
    with open(tmp_path / "other", "wb") as file:
        file.truncate(16 * MIB)
    with start("", "--disk", str(tmp_path / "other")) as machine:
        machine.boot(30)
        for name in "nvme", "sata", "other":
            assert "error" not in machine.run(f"create {name}.cfg", 20)
        # The registers by which QEMU's firmware lets go of a slot: bus, then slot (docs/specs/acpi_pci_hotplug).
        machine.send("\x14c")
        for bus in range(3):
            machine.send(f"o /w 0xcd0 {bus}\r")
            machine.wait(r"\(qemu\) ")
            machine.send("o /w 0xcc8 1\r")
            machine.wait(r"\(qemu\) ")
        machine.send("\x14c\r")
        for name in "nvme", "sata":
            machine.until_gone(name, 30)
        disks = machine.run("disk-list")
        assert "vda" in disks and "nvme0n1" not in disks and "sda" not in disks
        assert "other" in machine.run("list")
