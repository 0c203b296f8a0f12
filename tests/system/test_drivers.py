"""dom0's drivers where devices hang in unusual places: behind bridges and other host bridges, without MSI-X, with plain rings."""
import re
import socket

import pytest

from machine import Machine, built, guest_config, make_archive, plain

pytestmark = pytest.mark.xdist_group("drivers")  # one machine for all

MIB = 1 << 20
# Where each is, in the order of the scan: dom0 finds host bridges and what the first one has before it looks behind bridges.
DISKS = [
    ("bus=pcie.0,addr=9,vectors=0,serial=PIN", "00:09.0, 32 MiB, PIN, flush, discard, 1 queue"),
    ("bus=pci,addr=4,vectors=0,indirect_desc=off,event_idx=off,serial=PLAIN", ".*PLAIN.*1 queue"),
    ("bus=near,num-queues=4,serial=QUEUES", ".*QUEUES.*4 queues"),
    ("bus=far,disable-legacy=on,serial=FAR", "41:00.0, .*FAR.*"),
]
BRIDGES = ("-device pcie-root-port,id=near,chassis=1 -device pcie-root-port,id=behind,chassis=2 "
           "-device pcie-pci-bridge,id=pci,bus=behind -device pxb-pcie,id=root,bus_nr=64,bus=pcie.0 "
           "-device pcie-root-port,id=far,bus=root,chassis=3 ")
SOAK = guest_config("soak", "blk", memory=32, extra="seconds=1 region=4 queues=3 order=2")


@pytest.fixture(scope="module", name="places")
def machine_with_places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    words = BRIDGES + f"-monitor unix:{folder}/monitor,server,nowait"
    for number, (place, _) in enumerate(DISKS):
        with open(folder / f"disk{number}", "wb") as file:
            file.truncate(32 * MIB)
        words += (f" -drive if=none,id=d{number},format=raw,discard=unmap,file={folder}/disk{number}"
                  f" -device virtio-blk-pci,drive=d{number},{place}")
    words += " -netdev user,id=n -device virtio-net-pci,netdev=n,id=card,bus=pci,addr=5,vectors=0"
    archive = make_archive(folder, {"blk": built("guest/blk"), "soak.cfg": SOAK})
    with Machine("amd", [built("dom0"), archive], options=["--qemu", words]) as started:
        started.boot(60)
        started.monitor = f"{folder}/monitor"
        yield started


def name_of(machine, serial):
    return re.search(rf"^(\w+): virtio-blk .*\b{serial}\b", plain(machine.log), re.M)[1]


def tell(machine, command):
    """Types a command at QEMU's own prompt."""
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(10)
        monitor.connect(machine.monitor)
        said = ""
        for line in ("", command + "\n"):
            monitor.sendall(line.encode())
            while not said.endswith("(qemu) "):
                said += monitor.recv(4096).decode()
            said = said[:-1]


def test_found(places):
    for _, line in DISKS:
        assert re.search(rf"^vd[a-d]: virtio-blk {line}$", plain(places.log), re.M), line
    assert re.search(r"^eth0: virtio-net .*, 52:54:00:12:34:56, link up", plain(places.log), re.M)


@pytest.mark.parametrize("serial", ["PIN", "PLAIN", "QUEUES", "FAR"])
def test_soak(places, serial):
    output = places.run(f"create -c soak 'disk=[\"{name_of(places, serial)},raw,xvda,rw\"]'", 30)
    places.until_gone("soak")
    assert "VERDICT blk: PASS" in output


def test_growing(places):
    tell(places, "block_resize d0 48M")
    places.wait("now has 48 MiB")
    assert re.search(rf"^{name_of(places, 'PIN')} +48 MiB", places.run("disk-list"), re.M)


def test_link(places):
    tell(places, "set_link card off")
    places.wait("eth0: link down")
    tell(places, "set_link card on")
    places.wait("eth0: link up")
