"""Domains come and go, and not one page goes with them."""
from machine import built, guest_config

FILES = {
    "kernel": built("guest/beacon"),
    "beacon.cfg": guest_config("beacon", "kernel"),
    "round": "create -p beacon.cfg\ndestroy beacon\n",
    "ten": "run round\n" * 10,
    "fifty": "run ten\n" * 5,
}
ROUNDS = {"amd": 500, "intel": 50}  # Bochs is slow


def test_create_and_destroy(machine, vendor):
    machine.run("run ten", timeout=60)
    before = machine.free_kib()
    for _ in range(ROUNDS[vendor] // 50):
        output = machine.run("run fifty", timeout=120)
        assert "no such" not in output and "failed" not in output
    assert machine.free_kib(before) == before
    assert len(machine.run("list").splitlines()) == 2
    last = int(machine.run("create -p beacon.cfg; domid beacon").splitlines()[-1])
    assert last > ROUNDS[vendor]
    machine.run("destroy beacon")
