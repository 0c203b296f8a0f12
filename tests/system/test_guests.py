"""The test guests of tests/guest/: each as dom0 and as a domain, on both vendors."""
import re

import pytest

from machine import Machine, built, guest_config

# name: kernel, words on its command line, what is special about its configuration
GUESTS = {
    name: (name, "", {}) for name in (
        "version", "memory", "evtchn", "fifo", "grant", "vcpu", "sched", "hvm", "multicall", "console", "time", "cpuid",
        "msr", "page", "apic", "control", "hostile", "scrub")
}
GUESTS["xapic"] = ("apic", "mmio", {})
GUESTS["smp"] = ("smp", "", {"vcpus": 4})
GUESTS["lock"] = ("lock", "", {"vcpus": 4})
GUESTS["stress"] = ("stress", "", {"vcpus": 4})

FILES = {
    **{f"guest/{kernel}": built(f"guest/{kernel}") for kernel, _, _ in GUESTS.values()},
    **{f"{name}.cfg": guest_config(name, f"guest/{kernel}", extra=words, **keys)
       for name, (kernel, words, keys) in GUESTS.items()},
}


def passed(output, name):
    verdict = re.search(rf"^VERDICT {name}: (.*)$", output, re.M)
    return verdict and verdict.group(1) == "PASS"


# First, so that the machine of the others does not run beside these.
@pytest.mark.parametrize("vendor", ["amd", "intel"])
@pytest.mark.parametrize("name", GUESTS)
def test_as_dom0(vendor, name):
    kernel, words, keys = GUESTS[name]
    with Machine(vendor, [f"{built('guest/' + kernel)} {words}".strip()], smp=min(keys.get("vcpus", 1), 2),
                 options=["--once"]) as machine:
        output, match = machine.wait_match(rf"^VERDICT {name}: (.*)\n", timeout=40)
        assert match.group(1) == "PASS", output
        machine.wait_end()


@pytest.mark.parametrize("name", [name for name in GUESTS if name != "lock"])
def test_as_domain(machine, name):
    output = machine.run(f"create -c {name}.cfg", timeout=30)
    assert passed(output, name), output
    machine.until_gone(name)


def test_pause_loops(machine, vendor):
    """A vCPU that spins gives its processor away where the processor can tell: Bochs' can, QEMU's cannot."""
    machine.run("perf -r")
    assert passed(machine.run("create -c lock.cfg", timeout=30), "lock")
    machine.until_gone("lock")
    loops = int(re.search(r"T= *(\d+)", machine.run("perf pause"))[1])
    assert loops > 0 if vendor == "intel" else loops == 0
