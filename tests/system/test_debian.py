"""The stock Debian kernel as a guest: to its shell, and each way it can end."""
import re

import pytest

from machine import ROOT, guest_config

GUEST = ROOT + "/build/cache/guest/"
WORDS = "console=hvc0 quiet hostname=guest panic=1"


def config(name, **keys):
    return guest_config(name, "vmlinux", ramdisk="ramdisk", memory=192, vcpus=2,
                        **{"extra": WORDS, "on_poweroff": "destroy", "on_reboot": "restart", "on_crash": "preserve", **keys})


CPUS = "/sys/devices/system/cpu/cpu"

FILES = {
    "vmlinux": GUEST + "vmlinux",
    "ramdisk": GUEST + "ramdisk",
    "one.cfg": config("one", maxvcpus=4, maxmem=400, extra=WORDS + " memhp_default_state=online"),
    "two.cfg": config("two"),
}
MACHINE = {"smp": 1, "mem": 1024, "dom0_mem": "160M"}
PROMPT = "^guest# "


def start(machine, name):
    machine.run(f"create {name}", timeout=60)


def join(machine, name, timeout=60):
    """Until the domain is built it has no console to join."""
    machine.until("list", rf"^{name} .* (r-|-b|--)---- ", timeout)
    machine.type(f"console {name}")
    machine.send("\r")
    machine.wait(PROMPT, timeout)


def leave(machine):
    machine.send("\x1d")
    machine.wait("^dom0# ")


def inside(machine, command, timeout=10):
    machine.type(command)
    return machine.wait(PROMPT, timeout).strip()


@pytest.fixture(autouse=True)
def nothing_is_left(machine):
    yield
    for name in ("one", "two"):
        if f"\n{name} " in machine.run("list"):
            machine.run(f"destroy {name}", timeout=20)


def resize(machine, name):
    """CPUs and memory while it runs. New CPUs are there at once; udev would bring them online, which this guest has not."""
    leave(machine)
    machine.run(f"vcpu-set -w {name} 1", timeout=20)
    machine.run(f"vcpu-set -i {name} 3")
    for mib in (128, 320):
        machine.run(f"mem-set -w {name} {mib}", timeout=40)
        assert re.search(rf"^{name} +\d+ +{mib} ", machine.run("list"), re.M)
    machine.send(f"console {name}\r")
    machine.wait(PROMPT)
    for cpu in (1, 2):
        inside(machine, f"until echo 1 > {CPUS}{cpu}/online; do sleep 1; done", timeout=20)
    assert inside(machine, "nproc") == "3"
    assert int(inside(machine, "awk '/MemTotal/ { print $2 }' /proc/meminfo")) > 240 << 10


def test_shell(machine):
    start(machine, "one")
    join(machine, "one")
    assert inside(machine, "nproc") == "2"
    assert re.search("202[4-9]|20[3-9]", inside(machine, "date"))
    assert "Linux" in inside(machine, "uname -a")
    before = float(inside(machine, "cut -d' ' -f1 /proc/uptime"))
    inside(machine, "sleep 2", timeout=20)
    slept = float(inside(machine, "cut -d' ' -f1 /proc/uptime")) - before
    assert 2 <= slept < 4
    assert "xen" in inside(machine, "cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
    resize(machine, "one")
    machine.send("poweroff\r")
    machine.wait("^dom0# ", timeout=30)
    machine.until_gone("one")


def test_reboot(machine):
    start(machine, "one")
    first = machine.run("domid one")
    join(machine, "one")
    machine.send("reboot\r")
    machine.wait("^dom0# ", timeout=30)
    machine.until("list; domid one", rf"one .* (r-|-b)---- [^$]*\n(?!{first}$)\d+$", timeout=30)
    join(machine, "one")
    leave(machine)
    machine.run("destroy one", timeout=20)


def test_panic(machine):
    start(machine, "one")
    join(machine, "one")
    machine.send("echo c > /proc/sysrq-trigger\r")
    machine.wait("Kernel panic", timeout=20)
    leave(machine)
    machine.until("list one", r" ---sc- ", timeout=20)
    machine.run("destroy one", timeout=20)


def test_two_side_by_side(machine):
    start(machine, "one")
    start(machine, "two")
    for name in ("one", "two"):
        join(machine, name)
        inside(machine, f"echo {name} > /tmp/name")
        leave(machine)
    assert len(machine.run("list").splitlines()) == 4
    for name in ("one", "two"):
        join(machine, name)
        assert inside(machine, "cat /tmp/name") == name
        leave(machine)
