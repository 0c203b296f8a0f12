"""dom0 has the machine's hardware: a test guest that provokes interrupts, and an unmodified Debian kernel."""
import os
import re

import pytest

from machine import Machine, ROOT, built

CACHE = os.path.join(ROOT, "build/cache/guest")


@pytest.mark.parametrize("vendor", ["amd", "intel"])
def test_interrupts(vendor):
    """The test guest, which says what it proves. It ends by ACPI's ports, and only that sleep is let through."""
    with Machine(vendor, [built("guest/ioapic")], smp=2, cmdline="irq_ratelimit=160 guest_loglvl=all",
                 options=["--once"]) as machine:
        output, match = machine.wait_match(r"^VERDICT ioapic: (.*)\n", timeout=20)
        assert match.group(1) == "PASS", output
        assert "interrupt storm: " in output
        machine.wait("a sleep of type 1 was asked for")
        machine.wait("Machine: powering off")
        machine.wait_end()


def test_debian():
    """Debian's kernel finds PCI devices and their interrupts, and switches the machine off by ACPI."""
    kernel = f"{CACHE}/vmlinux console=hvc0"
    with Machine("amd", [kernel, f"{CACHE}/ramdisk"], smp=2, dom0_mem="384M", options=["--once"]) as machine:
        machine.wait("is up with 2 CPUs", timeout=60)
        machine.wait("# $")
        machine.send("cat /proc/interrupts; ls /sys/bus/pci/devices\r")
        output = machine.wait("0000:00:1f.2.*\n")
        assert re.search(r"^ +1: +.*[1-9].* IO-APIC +1-edge +i8042", output, re.M), output
        assert re.search(r"^ +9: .* IO-APIC +9-fasteoi +acpi", output, re.M), output
        machine.send("poweroff\r")
        machine.wait("dom0 shut down: power off")
        machine.wait_end()
