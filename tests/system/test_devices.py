"""Disks and network cards of guests as a person at dom0's prompt handles them: lists, attaching, detaching, mistakes."""
import pytest

from machine import built, guest_config

FILES = {
    "blk": built("guest/blk"),
    "idle.cfg": guest_config("idle", "blk", extra="mode=watch region=1"),
}
MACHINE = {"smp": 1, "mem": 256, "dom0_mem": "96M"}
DISK = "\"disk=['r0,,xvda']\""


@pytest.fixture(autouse=True)
def disks(machine):
    """Two RAM disks before each test; after it nobody uses them, and nothing of a guest is left."""
    machine.run("ramdisk-create r0 2; ramdisk-create r1 1")
    yield
    if "idle" in machine.run("list"):
        machine.run("destroy idle", timeout=20)
    assert machine.run("ramdisk-destroy r0; ramdisk-destroy r1") == ""
    assert machine.run("store-list /local/domain/0/backend/vbd") == ""
    assert "idle" not in machine.run("store-ls -f")


def start(machine):
    machine.run(f"create idle {DISK}", timeout=30)
    machine.until("block-list idle", r"^51712 +0 +\d+ +4 +\d+ +\d+ +/local/domain/0/backend/vbd/\d+/51712")


def test_lists(machine):
    start(machine)
    lines = machine.run("disk-list")
    assert "idle:xvda" in next(line for line in lines.split("\n") if line.startswith("r0 "))
    assert next(line for line in lines.split("\n") if line.startswith("r1 ")).endswith(" -")
    assert '"pdev_path": "r0"' in machine.run("list -l idle")


def test_attach_and_detach(machine):
    start(machine)
    assert "in use" in machine.run("block-attach idle r0,,xvdb")
    assert "it is in use" in machine.run("ramdisk-destroy r0")
    assert machine.run("block-attach idle r1 raw xvdb ro") == ""
    assert "has a disk of this name" in machine.run("block-attach idle r1,,xvdb")
    assert "51728 0" in machine.run("block-list idle")
    # No driver of the guest's ever took it.
    assert machine.run("block-detach idle xvdb", timeout=20) == ""
    assert machine.run("block-attach idle r1,,xvdb") == ""
    assert machine.run("block-detach --force idle 51728", timeout=20) == ""
    assert machine.run("block-list idle").count("\n") == 1


def test_a_guest_is_asked_to_let_go(machine):
    start(machine)
    # It has nothing left to watch then, and its end may be told before the next prompt.
    assert machine.run("block-detach idle xvda", timeout=20) in ("", "idle: powered off: destroy")
    machine.until_gone("idle")
    said = machine.run("console idle")
    assert "the back end closes" in said and "panic" not in said
    start(machine)


def test_a_guest_that_dies_gives_its_disk_back(machine):
    start(machine)
    assert machine.run("destroy idle", timeout=20) == ""
    start(machine)


def test_mistakes_are_told_before_anything_is_built(machine):
    free = machine.free_kib()
    assert "right would be 'r0,raw,xvda,rw'" in machine.run("create idle \"disk=['r0,qcow2,xvda']\"")
    assert "disk-list" in machine.run("create idle \"disk=['nothing,,xvda']\"")
    assert "no bridge 'nothing'" in machine.run(f"create idle {DISK} \"vif=['bridge=nothing']\"")
    assert "twice" not in machine.run("create idle \"disk=['r0,,xvda', 'r0,,xvdb']\"", timeout=30)
    assert "idle" not in machine.run("list")
    assert machine.free_kib(free) == free


def test_internal_bridges(machine):
    assert machine.run("bridge-create lan") == ""
    start(machine)
    assert machine.run("network-attach idle bridge=lan") == ""
    assert "00:16:3e:" in machine.run("network-list idle")
    assert "a guest's card is on it" in machine.run("bridge-destroy lan")
    assert machine.run("network-detach idle 0", timeout=20) == ""
    assert machine.run("bridge-destroy lan") == ""
