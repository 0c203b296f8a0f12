"""Guests that mean harm. After each, the hypervisor, dom0 and a bystander are well and no memory is lost."""
import pytest

from machine import built, guest_config

KINDS = ["triple", "spin", "flood", "hold", "wild", "port"]
FILES = {
    "beacon": built("guest/beacon"),
    "mischief": built("guest/mischief"),
    "hostile": built("guest/hostile"),
    "filler": built("guest/filler"),
    "bystander.cfg": guest_config("bystander", "beacon"),
    "hostile.cfg": guest_config("hostile", "hostile"),
    "filler.cfg": guest_config("filler", "filler"),
    **{f"{kind}.cfg": guest_config(kind, "mischief", extra=kind) for kind in KINDS},
}
MACHINE = {"smp": 2}


def bystander_is_well(machine):
    if "bystander" not in machine.run("list"):
        machine.run("create bystander.cfg")
    machine.send("console bystander\r")
    machine.wait("console bystander *\n")
    machine.send("w")
    machine.wait("^alive w$")
    machine.send("\x1d")
    machine.wait("^dom0# ")


def free_memory(machine):
    return int(machine.run("info free_memory"))


@pytest.mark.parametrize("kind", KINDS + ["hostile", "filler"])
def test_mischief(machine, kind):
    bystander_is_well(machine)
    before = free_memory(machine)
    machine.run(f"create {kind}.cfg", timeout=20)
    for _ in range(3):
        bystander_is_well(machine)
    if kind in ("hostile", "filler"):
        machine.until("list", rf"^((?!{kind} )[^\n]*\n?)*\Z", timeout=40)
    elif kind not in ("spin", "flood"):
        machine.until("list", rf"^((?!{kind} )[^\n]*\n?)*\Z", timeout=20)
    if f"\n{kind} " in machine.run("list"):
        machine.run(f"destroy {kind}", timeout=20)
    bystander_is_well(machine)
    machine.until("info free_memory", rf"^{before}$", timeout=10)
    assert "hypervisor" in machine.run("help").lower()
