#!/usr/bin/python3
"""Measures what many small idle domains cost: boots Hospes in QEMU with a clock that counts instructions, makes COUNT
domains of 4 MiB, and prints for FEW and for COUNT of them what `list`, `create` and `destroy` execute, and what memory
the hypervisor and dom0 spend on each. Exits with 1 when an operation is slower by more than a fifth. With --machine it
prints instead what a GiB of memory and a processor cost at boot, from machines of several sizes, and what a machine of
1 TiB and 64 processors would take."""
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
    add("--machine", action="store_true", help="memory and processors instead of domains")
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
    figures = {"list DOMAIN": [], "list, per domain": [], "create": [], "destroy": [], "a second of rest": []}
    for _ in range(SAMPLES):
        figures["list DOMAIN"].append(busy(machine, "list t1"))
        figures["list, per domain"].append(busy(machine, "list") // (count + 1))
        figures["create"].append(busy(machine, "run make"))
        figures["destroy"].append(busy(machine, "run end"))
        figures["a second of rest"].append(busy(machine, "sleep 1"))
    return {name: min(values) for name, values in figures.items()}


def dom0_free_pages(machine):
    return int(re.search(r"dom0: (\d+) of", machine.run("free"))[1])


def boot_cost(cpus, gib):
    """What the hypervisor has for itself on such a machine, in KiB, and the instructions until dom0 is up."""
    with tempfile.TemporaryDirectory(prefix="hospes-scale-") as work:
        with Machine(modules=[built("dom0"), make_archive(work, {"empty": "\n"})], mem=gib * 1024, smp=cpus,
                     options=["--icount", "--nic", "none"]) as machine:
            machine.boot(120)
            kib = int(machine.run("info -v hypervisor_memory").split()[0])
            return kib, int(re.search(r"dom0: up (\d+) ms", machine.console())[1])


def print_machine():
    """Each cost is the difference of two machines that differ in one thing only."""
    (kib, ms), (kib_more, ms_more), (kib_cpus, ms_cpus) = boot_cost(1, 5), boot_cost(1, 13), boot_cost(16, 5)
    per_gib, per_cpu = (kib_more - kib) / 8, (kib_cpus - kib) / 15
    ms_gib, ms_cpu = (ms_more - ms) / 8, (ms_cpus - ms) / 15
    print(f"{'':<28}{'KiB':>14}{'ms to dom0':>14}\n{'1 CPU, 5 GiB':<28}{kib:>14,}{ms:>14,}")
    print(f"{'each further GiB':<28}{per_gib:>14,.0f}{ms_gib:>14,.2f}\n{'each further CPU':<28}{per_cpu:>14,.0f}{ms_cpu:>14,.2f}")
    print(f"{'64 CPUs, 1 TiB (reckoned)':<28}{kib + per_gib * 1019 + per_cpu * 63:>14,.0f}{ms + ms_gib * 1019 + ms_cpu * 63:>14,.0f}")
    print("By the clock of the hypervisor, which starts when memory is set up; a millisecond is a million instructions or waiting.")


def main():
    options = arguments()
    driver.BUILD = options.build
    if options.machine:
        print_machine()
        return
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
