"""Guests' disks on each kind that dom0 drives: what is written is found again, and misuse harms nobody."""
import os
import re
import subprocess

import pytest

from machine import Machine, built, guest_config, machines, make_archive

MIB = 1 << 20
MASK = (1 << 64) - 1
# What QEMU has, with dom0's name for it; Bochs has a RAM disk.
QEMU_DISKS = {"vda": "driver=virtio", "sda": "driver=ahci", "nvme0n1": "driver=nvme",
              "vdb": "driver=virtio,logical_block_size=4096,physical_block_size=4096"}


def config(name, words, target="vda", access="rw"):
    return guest_config(name, "blk", memory=32, extra=words) + f'disk = [ "{target},raw,xvda,{access}" ]\n'


FILES = {
    "blk": built("guest/blk"), "blkbad": built("guest/blkbad"),
    "soak.cfg": config("soak", "seconds=1 region=4 queues=3 order=2"),
    "plain.cfg": config("plain", "seconds=1 region=2 direct depth=1"),
    "fill.cfg": config("fill", "mode=fill region=4 seed=5"),
    "check.cfg": config("check", "mode=check region=4 seed=5"),
    "other.cfg": config("other", "mode=check region=4 seed=6"),
    "readonly.cfg": config("readonly", "mode=readonly region=1", access="ro"),
    "watch.cfg": config("watch", "mode=watch region=1"),
    "neighbour.cfg": config("neighbour", "seconds=4 start=8 region=4"),
    "bad.cfg": guest_config("bad", "blkbad", memory=32) + 'disk = [ "vda,raw,xvda,rw" ]\n',
    "private.cfg": config("private", "seconds=1 region=1", "pattern"),
    "pristine.cfg": config("pristine", "mode=check region=1 seed=7", "pattern"),
}


def pattern(seed, sectors):
    """What blk.c writes to a disk with mode=fill."""
    data = bytearray()
    for sector in range(sectors):
        key = ((sector + 1) * 0x9e3779b97f4a7c15 ^ seed * 0xbf58476d1ce4e5b9 ^ 0x94d049bb133111eb) & MASK
        key ^= key >> 29
        words = [sector, 1] + [(key + i * 0x2545f4914f6cdd1d) & MASK for i in range(2, 64)]
        data += b"".join(word.to_bytes(8, "little") for word in words)
    return bytes(data)


@pytest.fixture(scope="module")
def machine(vendor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("disks")
    image = folder / "pattern"
    image.write_bytes(pattern(7, MIB // 512))
    options = []
    if vendor == "amd":
        for name, words in QEMU_DISKS.items():
            with open(folder / name, "wb") as file:
                file.truncate(32 * MIB)
            options += ["--disk", f"{folder / name},{words}"]
        with open(folder / "parts", "wb") as file:
            file.truncate(32 * MIB)
        subprocess.run(["sfdisk", "-q", folder / "parts"], input="label: gpt\nsize=12MiB, name=first\nname=second\n",
                       text=True, check=True, env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
        options += ["--disk", str(folder / "parts")]
    archive = make_archive(folder, {**FILES, "pattern": str(image)})
    with Machine(vendor, [built("dom0"), archive], options=options) as started:
        started.boot(60)
        if vendor == "intel":
            assert started.run("ramdisk-create r0 16") == ""
        yield started
    machines.remove(started)


every_disk = pytest.mark.parametrize("vendor,disk", [*(("amd", name) for name in QEMU_DISKS), ("intel", "r0")],
                                     indirect=["vendor"], scope="module")
one_disk = pytest.mark.parametrize("vendor,disk", [("amd", "vda"), ("intel", "r0")], indirect=["vendor"], scope="module")
amd_only = pytest.mark.parametrize("vendor", ["amd"], indirect=True)


def verdict(machine, name, target, access="rw", timeout=30):
    output = machine.run(f"create -c {name} 'disk=[\"{target},raw,xvda,{access}\"]'", timeout)
    machine.until_gone(name)
    return re.search(r"^VERDICT \w+: (\w+)", output, re.M)[1], output


def passes(machine, name, target, **more):
    result, output = verdict(machine, name, target, **more)
    assert result == "PASS", output
    return output


@every_disk
def test_soak(machine, disk):
    output = passes(machine, "soak", disk)
    assert "3 queues, 4 ring pages, 256 segments" in output
    assert (", flush" in output) == (disk != "r0")  # memory has no cache


@amd_only
def test_plain_requests(machine):
    assert " 11 segments" in passes(machine, "plain", "vda")


@every_disk
def test_found_again(machine, disk):
    passes(machine, "fill", disk)
    passes(machine, "check", disk)
    assert verdict(machine, "other", disk)[0] == "FAIL"  # it does look


@every_disk
def test_read_only(machine, disk):
    assert "read-only" in passes(machine, "readonly", disk, access="ro")


@amd_only
def test_private_copies(machine):
    """A file of the archive is a disk; each guest that writes has its own."""
    passes(machine, "pristine", "pattern", access="ro")
    passes(machine, "private", "pattern")
    passes(machine, "pristine", "pattern")


@amd_only
def test_partitions(machine):
    lines = machine.run("disk-list")
    assert re.search(r"^vdc1 +12 MiB .* first ", lines, re.M) and re.search(r"^vdc2 .* second ", lines, re.M), lines
    passes(machine, "fill", "PARTLABEL=first")
    passes(machine, "soak", "PARTLABEL=second")
    passes(machine, "check", "vdc1")


def watch(machine, target):
    machine.run(f"create watch 'disk=[\"{target},raw,xvda,rw\"]'", timeout=20)
    machine.type("console watch")
    machine.wait(r"^watching: \d+ sectors")


@one_disk
def test_detached_in_use(machine, disk):
    watch(machine, disk)
    machine.send("v")
    machine.wait("^verified: 0 failures", 20)
    machine.send("\x1d")
    machine.wait("^dom0# ")
    # The guest ends then, which may be told before the next prompt.
    assert machine.run("block-detach watch xvda", timeout=20) in ("", "watch: powered off: destroy")
    machine.until_gone("watch")
    assert re.search("^the back end closes\n.*VERDICT blk: PASS", machine.run("console watch"), re.M | re.S)


@amd_only
def test_resize(machine):
    watch(machine, "vdb")
    machine.send("\x14cblock_resize disk3 48M\r\x14c")
    machine.wait(f"^resized: {48 * MIB // 512} sectors", 20)
    machine.send("v")
    machine.wait("^verified: 0 failures", 20)
    machine.send("q")
    machine.wait("^dom0# ")


@amd_only
@pytest.mark.parametrize("disk", ["vda", "nvme0n1"])
def test_destroyed_in_the_middle(machine, disk):
    for _ in range(3):
        machine.run(f"create soak 'disk=[\"{disk},raw,xvda,rw\"]'", timeout=20)
        machine.until("list soak", r"soak .* (r-|-b)---- ")
        machine.run("destroy soak", timeout=20)
    passes(machine, "soak", disk)


@one_disk
def test_misuse(machine, disk, vendor):
    """A guest does all that is wrong, while another's data stay what they are."""
    neighbour = "sda" if vendor == "amd" else "r1"
    if vendor == "intel":
        assert machine.run("ramdisk-create r1 16") == ""
    machine.run(f"create neighbour 'disk=[\"{neighbour},raw,xvda,rw\"]'", timeout=20)
    passes(machine, "bad", disk, timeout=90)
    machine.until_gone("neighbour", timeout=30)
    assert "VERDICT blk: PASS" in machine.run("console neighbour")
    output = machine.run(f"create -c bad extra=die 'disk=[\"{disk},raw,xvda,rw\"]'", timeout=30)
    assert "dying" in output
    machine.until_gone("bad")
    passes(machine, "soak", disk)
