"""`make soak`: disks and network cards under load side by side, for a minute on each driver. Not part of `make test`: takes an hour.

The Debian guests want fio in one and iperf3 in the other, whose server is on this computer."""
import re
import socket
import subprocess

import pytest

from machine import ROOT, Machine, built, guest_config, make_archive
from test_scale import archive as many_archive, live_and_die

IMAGE = ROOT + "/build/cache/rootfs/disk.img"
CACHE = ROOT + "/build/cache/"
PROMPT = r"^root@debian:~# "
DISKS = {"virtio": ("vda", "vdb"), "ahci": ("sda", "sdb"), "nvme": ("nvme0n1", "nvme1n1")}
NICS = ["virtio", "e1000e"]
SECONDS = 60
each = [pytest.mark.parametrize("nic", NICS), pytest.mark.parametrize("disk", DISKS)]


def on_each(test):
    for mark in each:
        test = mark(test)
    return test


def debian(name, target):
    keys = {"memory": 300, "ramdisk": "initrd", "root": "/dev/xvda1", "extra": "console=hvc0 quiet"}
    return guest_config(name, "vmlinux", **keys) + f'disk = [ "{target},raw,xvda1,rw" ]\nvif = [ "" ]\n'


def start(machine, name):
    machine.send(f"create -c {name}\r")
    machine.wait("^debian login: ", 200)
    machine.send("root\r")
    machine.wait(PROMPT, 60)


def to_dom0(machine):
    machine.send("\x1d")
    machine.wait("^dom0# ")


@on_each
def test_debian(disk, nic, tmp_path):
    first, second = (name + ("p1" if name[-1].isdigit() else "1") for name in DISKS[disk])
    archive = make_archive(tmp_path, {"vmlinux": CACHE + "guest/vmlinux", "initrd": CACHE + "rootfs/initrd",
                                      "fio.cfg": debian("fio", first), "iperf.cfg": debian("iperf", second)})
    options = ["--nic", nic] + ["--disk", f"{IMAGE},driver={disk},snapshot=on"] * 2
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with Machine("amd", [built("dom0"), archive], options=options) as machine:
        machine.boot()
        for name in ("iperf", "fio"):
            start(machine, name)
            to_dom0(machine)
        machine.type("console fio")
        machine.send("fio --name=soak --filename=/root/fio --size=48M --rw=randrw --bsrange=4k-64k --ioengine=libaio --direct=1"
                     f" --iodepth=8 --verify=crc32c --verify_fatal=1 --time_based --runtime={SECONDS} > fio.log; echo status $?\r")
        to_dom0(machine)
        machine.type("console iperf")
        with subprocess.Popen(["iperf3", "-s", "-p", str(port)], stdout=subprocess.DEVNULL) as server:
            for direction in ("", " -R"):
                machine.type(f"iperf3 -c 10.0.2.2 -p {port} -t {SECONDS // 2}{direction}; echo status $?")
                machine.wait("^status 0", 2 * SECONDS)
            server.terminate()
        to_dom0(machine)
        machine.type("console fio")
        machine.wait("^status 0", 5 * SECONDS)


def small_archive(tmp_path, disk, region):
    words = f"seconds={SECONDS} region={region} queues=4 order=2"
    return make_archive(tmp_path, {
        "blk": built("guest/blk"), "net": built("guest/net"),
        "disk.cfg": guest_config("disk", "blk", memory=48, extra=words) + f'disk = [ "{disk},raw,xvda,rw" ]\n',
        "wire.cfg": guest_config("wire", "net", memory=48, extra="count=3000") + 'vif = [ "" ]\n'})


def small_guests(machine):
    machine.run("create disk", timeout=20)
    assert "VERDICT net: PASS" in machine.run("create -c wire", timeout=5 * SECONDS)
    machine.until_gone("disk", timeout=2 * SECONDS)
    assert re.search("VERDICT blk: PASS", machine.run("console disk"))


@on_each
def test_small_guests(disk, nic, tmp_path):
    """The same with guests that know every byte: one on its disk, one on the wire."""
    for name in DISKS[disk]:
        with open(tmp_path / name, "wb") as file:
            file.truncate(64 << 20)
    options = ["--nic", nic] + [word for name in DISKS[disk] for word in ("--disk", f"{tmp_path / name},driver={disk}")]
    with Machine("amd", [built("dom0"), small_archive(tmp_path, DISKS[disk][0], 32)], options=options) as machine:
        machine.boot()
        small_guests(machine)


def test_bochs(tmp_path):
    """In Bochs they have a disk in memory and an e1000."""
    with Machine("intel", [built("dom0"), small_archive(tmp_path, "r0", 8)], options=["--nic", "e1000"]) as machine:
        machine.boot()
        assert machine.run("ramdisk-create r0 16") == ""
        small_guests(machine)


def test_many_small_domains(tmp_path):
    with Machine(modules=[built("dom0"), many_archive(tmp_path, 500)], mem=4096) as machine:
        live_and_die(machine.boot(), 500)
