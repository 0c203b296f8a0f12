#!/usr/bin/python3
"""Measures what operations cost on Hospes and on Debian's Xen, in the same emulators with the same guest.

The unit is instructions that the machine executes, so the figures are exact and the same on every machine; each is
measured twice, and a difference is told. Prints a table; writes BUILD/bench.json and BUILD/bench.svg, where machines that
are not measured this time keep their figures. The machine "io" measures disks and networks: there Xen has Debian's
kernel as dom0, with Debian's tools."""
import argparse
import json
import os
import signal
import sys

from bench_machines import ALONE, MACHINES, SYSTEMS, TITLES, Bench, Failed
from bench_report import page, picture, rows, text_table


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--build", default="build", help="where the images are, and the results go")
    add("--cache", default="build/cache", help="where Xen is kept")
    add("--machine", action="append", choices=list(MACHINES), help="default: all of them; may be repeated")
    add("--system", action="append", choices=SYSTEMS, help="default: both; the other keeps its figures")
    add("--once", action="store_true", help="measure once only")
    add("--docs", metavar="FILE", help="measure nothing; write the page about BUILD/bench.json")
    return parser.parse_args()


def differences(runs):
    """Lines about figures that are not the same in all runs."""
    for name in sorted(set().union(*runs)):
        figures = [run.get(name) for run in runs]
        if any(figure != figures[0] for figure in figures):
            told = [" ".join(f"{what} {number:,}" for what, number in (figure or {"none": 0}).items()) for figure in figures]
            yield f"{name} differs: {' / '.join(told)}"


def load(options):
    """The figures of all machines that were ever measured here."""
    saved = f"{options.build}/bench.json"
    if not os.path.exists(saved):
        return {}
    with open(saved) as file:
        return json.load(file)


def save(options, machine, system, figures):
    """Puts these beside the others, and draws the picture."""
    results = load(options)
    results.setdefault(machine, {})[system] = figures
    with open(f"{options.build}/bench.json", "w") as file:
        json.dump({machine: results[machine] for machine in MACHINES if machine in results}, file, indent=1)
    with open(f"{options.build}/bench.svg", "w") as file:
        file.write(picture(TITLES, with_hospes(results)))


def measure(options):
    """Returns the machines that were measured."""
    bench, machines = Bench(options.build, options.cache), options.machine or list(MACHINES)
    for machine in machines:
        for system in options.system or SYSTEMS:
            if machine in ALONE and system != "hospes":
                continue
            print(f"{TITLES[machine]}: {system} ...", file=sys.stderr, flush=True)
            try:
                runs = [bench.run(system, machine) for _ in range(1 if options.once else 2)]
            except Failed as why:
                sys.exit(f"bench.py: {system} on {machine}: {why}")
            for line in differences(runs):
                print(f"{machine}, {system}: {line}")
            save(options, machine, system, runs[0])
    return machines


def with_hospes(results):
    """The machines that can be shown, in their order."""
    return {machine: results[machine] for machine in MACHINES if "hospes" in results.get(machine, ())}


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no emulator is left behind
    if options.docs:
        with open(options.docs, "w") as file:
            file.write(page(TITLES, with_hospes(load(options))))
        return
    machines = measure(options)
    results = with_hospes(load(options))
    for machine in machines:
        if machine in results:
            print(*text_table(TITLES[machine], rows(results, machine)), "", sep="\n")
    print(f"Also in {options.build}/bench.json and {options.build}/bench.svg")


if __name__ == "__main__":
    main()
