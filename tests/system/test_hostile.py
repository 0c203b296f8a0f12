"""Guests that mean harm. After each, the hypervisor, dom0 and a bystander are well and no memory is lost."""
import pytest

from machine import built, guest_config

KINDS = ["triple", "spin", "flood", "hold", "wild", "port"]
FILES = {
    "kernel": built("guest/beacon"),
    "mischief-kernel": built("guest/mischief"),
    "hostile-kernel": built("guest/hostile"),
    "filler-kernel": built("guest/filler"),
    "bystander.cfg": guest_config("bystander", "kernel"),
    "hostile.cfg": guest_config("hostile", "hostile-kernel"),
    "filler.cfg": guest_config("filler", "filler-kernel"),
    **{f"{kind}.cfg": guest_config(kind, "mischief-kernel", extra=kind) for kind in KINDS},
}
MACHINE = {"smp": 2}


def bystander_is_well(machine):
    if "bystander" not in machine.run("list"):
        machine.run("create bystander.cfg")
    machine.type("console bystander")
    machine.send("w")
    machine.wait("^alive w$")
    machine.send("\x1d")
    machine.wait("^dom0# ")


@pytest.mark.parametrize("kind", KINDS + ["hostile", "filler"])
def test_mischief(machine, kind):
    bystander_is_well(machine)
    before = machine.free_kib()
    machine.run(f"create {kind}.cfg", timeout=20)
    for _ in range(3):
        bystander_is_well(machine)
    if kind in ("hostile", "filler"):
        machine.until_gone(kind, timeout=40)
    elif kind not in ("spin", "flood"):
        machine.until_gone(kind, timeout=20)
    if f"\n{kind} " in machine.run("list"):
        machine.run(f"destroy {kind}", timeout=20)
    bystander_is_well(machine)
    assert machine.free_kib(before) == before
