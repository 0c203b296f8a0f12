"""Guests that grow and shrink while they run: CPUs and memory, by vcpu-set, mem-set and mem-max; and one of 64 CPUs."""
import re

from machine import built, guest_config

FILES = {
    "guest/size": built("guest/size"), "guest/smp": built("guest/smp"),
    "size.cfg": guest_config("size", "guest/size", memory=24, maxmem=40, vcpus=2, maxvcpus=6),
    "smp.cfg": guest_config("smp", "guest/smp", vcpus=64),
}
MACHINE = {"smp": 2}


def test_many_cpus(machine):
    output = machine.run("create -c smp.cfg", timeout=60)
    assert "64 vCPUs\nVERDICT smp: PASS" in output
    machine.until_gone("smp")


def states(machine):
    """Of the guest's CPUs: whether they are online."""
    return [match != "--p" for match in re.findall(r"^size +\d+ +\d+ +[-\d]+ +(\S+) ", machine.run("vcpu-list size"), re.M)]


def free_mib(machine):
    return int(machine.run("info free_memory"))


def test_size(machine):
    machine.run("create size", timeout=20)
    try:
        for count in (5, 1, 6, 3):
            machine.run(f"vcpu-set -iw size {count}", timeout=20)
            assert states(machine) == [i < count for i in range(6)]
        assert "the machine has 2 CPUs" in machine.run("vcpu-set size 4")
        assert "1 to 6" in machine.run("vcpu-set size 7")

        before = free_mib(machine)
        for mib in (12, 40, 30, 16):
            assert machine.run(f"mem-set -w size {mib}", timeout=20) == ""
            assert re.search(rf"^size +\d+ +{mib} ", machine.run("list size"), re.M)
            assert abs(free_mib(machine) - (before + 24 - mib)) <= 1
        assert "40 MiB at most" in machine.run("mem-set size 41")
        machine.run("mem-max size 60")
        machine.run("mem-set -w size 60", timeout=20)
        assert re.search(r"^size +\d+ +60 ", machine.run("list size"), re.M)
        assert "mem-set first" in machine.run("mem-max size 59")
    finally:
        machine.type("console size")
        machine.send("q")
        output = machine.wait("^dom0# ", 20)
    assert "VERDICT size: PASS" in output, output
    machine.until_gone("size")
