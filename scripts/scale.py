#!/usr/bin/python3
"""Measures what many small idle domains cost: boots Hospes in QEMU with a clock that counts instructions, makes COUNT
domains of 4 MiB, and prints for FEW and for COUNT of them what `list`, `create` and `destroy` execute, and what memory
the hypervisor and dom0 spend on each. Exits with 1 when an operation is slower by more than a fifth."""
import argparse
import os
import re
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../tests/system"))
import machine as driver  # noqa: E402
from machine import Machine, built, guest_config, make_archive  # noqa: E402

ALLOWED = 1.2
SAMPLES = 5
# With all that follows, the new domain's own first steps among it.
SCRIPTS = {"make": "create -q tiny.cfg name=more\nsleep 0.05\n", "end": "destroy more\nsleep 0.05\n"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--build", default="build", help="where the images are")
    add("--count", type=int, default=500, help="how many domains")
    add("--few", type=int, default=5, help="how many they are compared with")
    add("--mem", type=int, default=4096, metavar="MIB")
    add("--smp", type=int, default=1, metavar="CPUS")
    add("--dom0-mem", default="128M")
    return parser.parse_args()


def busy(machine, command):
    """Instructions that one command executes, all processors together: the least of some tries."""
    output = machine.run(f"time {command}", timeout=60)
    found = re.search(r"^time: \d+ ns, processors busy (\d+) ns", output, re.M)
    if not found:
        sys.exit(f"scale.py: {command}: {output}")
    return int(found[1])


def create_until(machine, there, count):
    """Domains there+1 ... count."""
    for first in range(there + 1, count + 1, 20):
        last = min(first + 19, count)
        for number in range(first, last + 1):
            output = machine.run(f"create -q tiny.cfg name=t{number}", timeout=60)
            if output:
                sys.exit(f"scale.py: domain {number}: {output}")


def measure(machine, count):
    """Costs with so many domains there: one is listed, made and destroyed beside them."""
    figures = {"list DOMAIN": [], "list, per domain": [], "create": [], "destroy": []}
    for _ in range(SAMPLES):
        figures["list DOMAIN"].append(busy(machine, "list t1"))
        figures["list, per domain"].append(busy(machine, "list") // (count + 1))
        figures["create"].append(busy(machine, "run make"))
        figures["destroy"].append(busy(machine, "run end"))
    return {name: min(values) for name, values in figures.items()}


def dom0_free_pages(machine):
    return int(re.search(r"dom0: (\d+) of", machine.run("free"))[1])


def main():
    options = arguments()
    driver.BUILD = options.build
    with tempfile.TemporaryDirectory(prefix="hospes-scale-") as work:
        archive = make_archive(work, {"tiny": built("guest/tiny"),
                                      "tiny.cfg": guest_config("tiny", "tiny", memory=4), **SCRIPTS})
        with Machine(modules=[built("dom0"), archive], mem=options.mem, smp=options.smp, dom0_mem=options.dom0_mem,
                     options=["--icount", "--nic", "none"]) as machine:
            machine.boot(60)
            create_until(machine, 0, options.few)
            few, dom0 = measure(machine, options.few), dom0_free_pages(machine)
            create_until(machine, options.few, options.count)
            many, made = measure(machine, options.count), options.count - options.few
            dom0_used = dom0 - dom0_free_pages(machine)
            overhead = machine.run("info -v domain_overhead")
    print(f"{'instructions':<22}{options.few:>12}{options.count:>12}{'ratio':>8}")
    slow = False
    for name in few:
        ratio = many[name] / few[name]
        slow |= ratio > ALLOWED
        print(f"{name:<22}{few[name]:>12,}{many[name]:>12,}{ratio:>8.2f}")
    print(f"\nmemory of the hypervisor for domains, beside their own: {overhead}\n"
          f"dom0's memory for a domain: {dom0_used * 4 / made:.1f} KiB")
    sys.exit(slow)


if __name__ == "__main__":
    main()
