#!/usr/bin/python3
"""Shows which functions the instructions of one operation of `make bench` are executed in.

Boots Hospes with the guest of the bench in QEMU's SVM machine, lets the guest repeat the operation, and has QEMU write down
the address of each instruction that it executes, until one round has taken as many as the guest counted at best, which is
the figure in the table; when none does, the best of those seen is shown, and that is said. What is printed adds up to the
figure. (QEMU's clock leaves out an instruction that leads to an exit, and so does the guest's row here.) With --lines,
source lines instead of functions."""
import argparse
import bisect
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 300  # seconds
ENOUGH = 1000000  # instructions in rounds that were not the one looked for
GUEST_TOP = 1 << 47  # addresses below are a guest's
# One instruction in each step, and each step written down. The first two are one command's old and new name.
COMMANDS = ["singlestep on", "one-insn-per-tb on", "logfile {trace}", "log exec,nochain"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("operation", help="a name in the table of tests/bench/ops.c")
    add("--build", default="build", help="where the images are")
    add("--lines", action="store_true", help="show source lines")
    add("--top", type=int, default=60, metavar="N", help="show so many rows (60)")
    return parser.parse_args()


class Symbols:
    """The functions of an ELF file."""

    def __init__(self, path):
        self.path = path
        lines = subprocess.run(["nm", "-n", path], check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()
        # Labels inside of assembly functions, and the pieces that the compiler makes, have dots after the function's name.
        found = [match.groups() for match in (re.match(r"(\w+) [tTwW] (\w+)", line) for line in lines) if match]
        self.starts = [int(start, 16) for start, _ in found]
        self.names = [name for _, name in found]

    def name(self, address):
        index = bisect.bisect_right(self.starts, address) - 1
        return self.names[index] if index >= 0 else hex(address)

    def lines(self, addresses):
        """FILE:LINE of each, where the innermost inlined function stands."""
        said = subprocess.run(["addr2line", "-e", self.path], input="\n".join(map(hex, addresses)), check=True, text=True,
                              stdout=subprocess.PIPE).stdout.splitlines()
        return [os.path.relpath(line.partition(" ")[0]) for line in said]

    def clock_reads(self, function):
        """Addresses of the RDTSC instructions in a function, which are where its measuring starts and ends."""
        code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", self.path], check=True,
                              text=True, stdout=subprocess.PIPE).stdout
        return [int(address, 16) for address in re.findall(r"^ *(\w+):\s+rdtsc\b", code, re.M)]


class Machine:
    """QEMU with the guest at work; its console's lines, and the addresses that it executes."""

    def __init__(self, options, work):
        self.trace, self.control = f"{work}/trace", f"{work}/control"
        os.mkfifo(self.trace)
        command = [f"{HERE}/run.py", "--build", options.build, "--icount", "--once", "--archive", "none",
                   "--dom0", f"{options.build}/bench/ops loop={options.operation}",
                   "--qemu", f"-monitor unix:{self.control},server=on,wait=off"]
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                      text=True, errors="replace")
        self.limit = threading.Timer(LIMIT, self.child.kill)
        self.limit.start()

    def figures(self):
        """The guest's own, which it prints before it goes on for ever: the operation's, and the measuring's."""
        floor = 0
        for line in self.child.stdout:
            found = re.match(r"BENCH (floor|loop|end) ?(\d*)", line)
            if found and found[1] == "floor":
                floor = int(found[2])
            elif found and found[1] == "loop":
                return int(found[2]), floor
            elif found:
                break
        sys.exit("bench_profile.py: the guest does not know that operation; the names are in tests/bench/ops.c")

    def addresses(self):
        """Of each instruction from now on, as 16 digits."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(self.control)
            for command in COMMANDS:
                monitor.sendall(command.format(trace=self.trace).encode() + b"\n")
            with open(self.trace, "rb", buffering=1 << 20) as trace:
                for line in trace:
                    if line.startswith(b"Trace"):
                        yield line.split(b"/", 2)[1]  # Trace CPU: HOST-ADDRESS [CS-BASE/ADDRESS/...]

    def end(self):
        self.limit.cancel()
        self.child.kill()
        self.child.wait()


class Round:
    """A measured stretch of the guest, the reading of the clock at its end included."""

    def __init__(self):
        self.counts, self.exits, self.in_guest = {}, 0, True

    def add(self, address):
        self.counts[address] = self.counts.get(address, 0) + 1
        in_guest = address < b"8"  # the upper half is the hypervisor's
        self.exits += self.in_guest and not in_guest
        self.in_guest = in_guest

    def total(self):
        return sum(self.counts.values())


def rounds(addresses, first, last):
    current = None
    for address in addresses:
        if current:
            current.add(address)
        if address == first:
            current = Round()
        elif address == last and current:
            yield current
            current = None


def choose(found, figure, floor):
    """The first round that took what the guest counted at best, or else the one that took least of those looked at."""
    least, looked_at = None, 0
    for one in found:
        one.instructions = one.total() - floor - one.exits
        if one.instructions <= figure <= one.instructions + one.exits:
            one.instructions = figure
            return one
        least = one if not least or one.instructions < least.instructions else least
        looked_at += one.total()
        if looked_at > ENOUGH:
            break
    print(f"bench_profile.py: the guest's best round took {figure:,}; this is another", file=sys.stderr)
    return least


def profile(options):
    """(a round, what of it is the measuring's)."""
    guest = Symbols(f"{options.build}/bench/ops")
    first, last = (b"%016x" % address for address in guest.clock_reads("measure"))
    with tempfile.TemporaryDirectory(prefix="hospes-profile-") as work:
        machine = Machine(options, work)
        try:
            figure, floor = machine.figures()
            return choose(rounds(machine.addresses(), first, last), figure, floor), floor
        finally:
            machine.end()


def main():
    options = arguments()
    hypervisor = Symbols(f"{options.build}/hospes")  # before a build can change it
    one, floor = profile(options)
    figure = one.instructions
    counts = {int(address, 16): count for address, count in one.counts.items()}
    above = [address for address in counts if address >= GUEST_TOP]
    names = hypervisor.lines(above) if options.lines else map(hypervisor.name, above)
    uncounted = one.total() - floor - figure
    rows = {"(the guest)": sum(count for address, count in counts.items() if address < GUEST_TOP) - floor - uncounted}
    for address, name in zip(above, names):
        rows[name] = rows.get(name, 0) + counts[address]
    print(f"{options.operation}: {figure:,} instructions, exits: {one.exits:,}")
    ordered = sorted(rows.items(), key=lambda row: -row[1])
    for name, count in ordered[:options.top]:
        print(f"{count:>12,} {100 * count / figure:>6.1f} %  {name}")
    if ordered[options.top:]:
        print(f"{sum(count for _, count in ordered[options.top:]):>12,}           in {len(ordered) - options.top} more")


if __name__ == "__main__":
    main()
