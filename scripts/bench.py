#!/usr/bin/python3
"""Measures what operations cost on Hospes and on Debian's Xen, in the same emulators with the same guest.

The unit is instructions that the machine executes, so the figures are exact and the same on every machine; each is
measured twice, and a difference is told. Prints a table; writes BUILD/bench.json and BUILD/bench.svg. The machine "io" measures disks and networks: there Xen has
Debian's kernel as dom0, with Debian's tools."""
import argparse
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 600  # seconds for one machine, a slow computer's included
MEMORY = 1024  # MiB
WORDS = "com1=115200,8n1 console=com1 dom0_mem=128M"
XEN_WORDS = WORDS + " dom0=pvh noreboot"
# name: what it is, arguments of run.py, more words for Xen
MACHINES = {
    "svm": ("QEMU, AMD SVM", ["--icount", "--once"], ""),
    "vmx": ("Bochs, Intel VMX", ["--vendor", "intel"], "iommu=off dom0-iommu=none"),
    "bochs-svm": ("Bochs, AMD SVM", ["--vendor", "intel", "--cpu", "ryzen"], "iommu=off dom0-iommu=none"),
    "io": ("QEMU, AMD SVM, a guest's devices", ["--icount", "--once"], ""),
}
# A disk that answers at once, and a card whose packets go nowhere: {port} is bound, and nobody reads there.
DEVICES = ("-drive if=none,id=null,driver=null-co,size=1G,read-zeroes=on -device virtio-blk-pci,drive=null,ioeventfd=off,addr=10 "
           "-netdev socket,id=sink,udp=127.0.0.1:{port},localaddr=127.0.0.1:0 -device e1000e,netdev=sink,addr=11")
CONFIG = """name = "io"
type = "pvh"
kernel = "{kernel}"
memory = 64
vcpus = 1
disk = [ "phy:/dev/{disk},xvda,r" ]
vif = [ "bridge=xenbr0" ]
"""
# What Hospes wants to reach (SVM, VMX); operations in the order of the table.
OPERATIONS = {
    "xen_version": ("smallest hypercall", 450, 250), "cpuid": ("CPUID", 500, 250), "msr_read": ("MSR read", None, None),
    "port_read": ("port read", None, None), "apic_read": ("local APIC read", None, None), "yield": ("yield", None, None),
    "timer_set": ("one-shot timer set", 1000, 700), "timer_busy": ("timer to handler, guest busy", 2000, 2000),
    "timer_halted": ("timer to handler, guest halted", 2000, 2000), "event_masked": ("event send, masked", 900, 500),
    "event_pending": ("event send, pending", 900, 500), "event_delivered": ("event send to handler", None, None),
    "grant_map": ("grant map", None, None), "grant_unmap": ("grant unmap", None, None),
    "grant_pin_unpin": ("grant map and unmap, for devices", None, None), "grant_copy_16": ("grant copy, 16 bytes", None, None),
    "grant_copy_4k": ("grant copy, 4 KiB", 1600, 1300), "page_give_take": ("page given back and taken", 3000, 2500),
    "first_touch": ("first touch of memory", None, None), "add_to_physmap": ("add_to_physmap", None, None),
    "domain_create_destroy": ("domain of 64 MiB, made and destroyed", 1500000, 1500000),
    "read_4k": ("4 KiB random read, one at a time", None, None),
    "read_4k_of_32": ("4 KiB random read, 32 at a time", None, None), "read_1m": ("1 MiB sequential read", None, None),
    "send_1500": ("packet of 1,500 bytes, guest to device", None, None),
    "send_64k": ("packet of 64 KiB, guest to device", None, None), "power_on_to_dom0": ("power-on to dom0", None, None), "hypervisor_kib": ("hypervisor's memory, KiB", None, None),
    "image_kib": ("image, KiB", None, None),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--build", default="build", help="where the images are, and the results go")
    add("--cache", default="build/cache", help="where Xen is kept")
    add("--machine", action="append", choices=list(MACHINES), help="default: all of them")
    add("--once", action="store_true", help="measure once only")
    add("--docs", metavar="FILE", help="measure nothing; write the page about BUILD/bench.json")
    return parser.parse_args()


class Bench:
    def __init__(self, options):
        self.build = options.build
        self.guest, self.io = f"{options.build}/bench/ops", f"{options.build}/bench/io"
        self.cache = options.cache
        self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink.bind(("127.0.0.1", 0))
        self.packets = 0
        threading.Thread(target=self.count_packets, daemon=True).start()
        environment = {**os.environ, "CACHE": f"{options.cache}/xen"}
        self.environment = environment
        self.images = {"hospes": f"{options.build}/hospes",
                       "xen": subprocess.run([f"{HERE}/peer-xen.sh", "--fetch"], env=environment, check=True, text=True,
                                             stdout=subprocess.PIPE).stdout.strip()}

    def count_packets(self):
        while self.sink.recv(65536):
            self.packets += 1

    def command(self, system, machine, work):
        """The command line of one run."""
        _, words, xen_words = MACHINES[machine]
        run = [f"{HERE}/run.py", "--build", self.build, "--mem", str(MEMORY), *words]
        if "--vendor" in words:
            iso = f"{work}/bench.iso"
            line = WORDS if system == "hospes" else f"{XEN_WORDS} {xen_words}"
            subprocess.run([f"{HERE}/iso.sh", iso, line, self.images[system], self.guest], check=True,
                           env={**os.environ, "MULTIBOOT": "2" if system == "hospes" else "1"})
            return run + ["--boot", "iso", "--iso", iso]
        if system == "hospes":
            return run + ["--dom0", self.guest, "--archive", "none"]
        return [f"{HERE}/peer-xen.sh", "-icount", "shift=0,sleep=off", "-cpu", self.processor(), "-no-reboot"]

    def io_command(self, system, work):
        """The same for the guest with devices, as dom0's tools start it."""
        devices = DEVICES.format(port=self.sink.getsockname()[1])
        run = [f"{HERE}/run.py", "--build", self.build, "--mem", str(MEMORY), "--icount", "--once"]
        if system == "hospes":
            files = {"io.cfg": CONFIG.format(kernel="io", disk="vda"), "rc": "create -c io.cfg\npoweroff\n"}
            for name, text in files.items():
                with open(f"{work}/{name}", "w") as file:
                    file.write(text)
            subprocess.run([f"{HERE}/archive.sh", f"{work}/archive", f"io={self.io}", *(f"{name}={work}/{name}" for name in files)],
                           check=True)
            return run + ["--archive", f"{work}/archive", "--qemu", devices]
        with open(f"{work}/io.cfg", "w") as file:
            file.write(CONFIG.format(kernel="/run/guest", disk="vdd"))
        return [f"{HERE}/peer-dom0.sh", "-icount", "shift=0,sleep=off", *shlex.split(devices)]

    def processor(self):
        """QEMU's model for machines that count."""
        printed = subprocess.run([f"{HERE}/run.py", "--build", self.build, "--icount", "--print"], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout
        return re.search(r"-cpu (\S+)", printed)[1]

    def run(self, system, machine):
        """Figures of one run."""
        environment = {**self.environment, "DOM0": self.guest, "ARCHIVE": "", "MEM": str(MEMORY), "DOM0_MEM": "128M"}
        with tempfile.TemporaryDirectory(prefix="hospes-bench-") as work:
            said = ""
            if machine == "io":
                command = self.io_command(system, work)
                # A PV dom0 under TCG does not come up with these two.
                environment.update(CACHE=self.cache, GUEST=self.io, CONFIG=f"{work}/io.cfg",
                                   CPU=self.processor() + ",-smap,-smep")
            else:
                command = self.command(system, machine, work)
            with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace") as child:
                limit = threading.Timer(LIMIT, child.kill)
                limit.start()
                for line in child.stdout:
                    said += line
                    if line.startswith("BENCH end"):
                        break
                limit.cancel()
                child.terminate()
        if "BENCH end" not in said:
            sys.exit(f"bench.py: {system} on {machine} did not come to its end:\n{said[-2000:]}")
        figures = {name: int(value) for name, value in re.findall(r"^BENCH (\w+) (\d+)\r?$", said, re.M)}
        if machine == "io":
            if self.packets < 800 * 47 / 2:  # of what tests/bench/io.c sends; this end may be slow, but not that slow
                sys.exit(f"bench.py: {system}: {self.packets} packets came out of the card, which are too few")
            self.packets = 0
            return figures
        if machine != "svm":  # GRUB's menu waits on the way, and Xen starts the guest's count anew
            del figures["power_on_to_dom0"]
        figures["hypervisor_kib"] = (MEMORY << 10) - figures.pop("pages_of_domains_and_free") * 4
        sizes = subprocess.run(["size", self.images[system]], text=True, stdout=subprocess.PIPE, check=True).stdout
        text, data = sizes.splitlines()[1].split()[:2]
        figures["image_kib"] = (int(text) + int(data)) >> 10
        return figures


def measure(options):
    bench, results = Bench(options), {}
    for machine in options.machine or MACHINES:
        for system in ("hospes", "xen"):
            print(f"{MACHINES[machine][0]}: {system} ...", file=sys.stderr, flush=True)
            runs = [bench.run(system, machine) for _ in range(1 if options.once else 2)]
            for name in runs[0]:
                if any(run.get(name) != runs[0][name] for run in runs):
                    print(f"{machine}, {system}: {name} differs: {[run.get(name) for run in runs]}")
            results.setdefault(machine, {})[system] = runs[0]
    return results


def rows(results, machine):
    """(title, Hospes' figure, Xen's or None, ratio or None, goal or None) of each operation."""
    ours, theirs = results[machine]["hospes"], results[machine]["xen"]
    for name, (title, svm, vmx) in OPERATIONS.items():
        if name in ours:
            ratio = ours[name] / theirs[name] if theirs.get(name) else None
            yield title, ours[name], theirs.get(name), ratio, {"svm": svm, "vmx": vmx, "io": theirs.get(name, 0) // 2}.get(machine)


def table(results, machine):
    yield f"{MACHINES[machine][0]:<38}{'Hospes':>12}{'Xen':>12}{'ratio':>8}{'goal':>10}"
    for title, ours, theirs, ratio, goal in rows(results, machine):
        missed = " missed" if goal and ours > goal else ""
        yield (f"{title:<38}{ours:>12,}{f'{theirs:,}' if theirs else '-':>12}{f'{ratio:.2f}' if ratio else '-':>8}"
               f"{f'{goal:,}' if goal else '':>10}{missed}")


def picture(results):
    """SVG: a bar for each ratio; the line is where both are equal."""
    height, left, unit, body, y = 16, 330, 400, [], 10
    for machine in results:
        y += 24
        body.append(f'<text x="10" y="{y}" font-weight="bold">{MACHINES[machine][0]}: Hospes / Xen</text>')
        top = y + 6
        for title, _, _, ratio, _ in rows(results, machine):
            if ratio is None:
                continue
            y += height
            body.append(f'<text x="10" y="{y}">{title}</text><rect x="{left}" y="{y - 10}" height="11" width="{min(ratio, 1.5) * unit:.1f}" '
                        f'fill="{"#2a7" if ratio <= 1 else "#c53"}"/><text x="{left + min(ratio, 1.5) * unit + 5:.1f}" y="{y}">{ratio:.2f}</text>')
        body.append(f'<path d="M{left + unit} {top}V{y + 4}" stroke="#888"/>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="1000" height="{y + 20}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="white"/>{"".join(body)}</svg>\n')


PAGE = """\
# Performance

Written by `make bench-docs` from what `make bench` measured; do not edit.

A figure is the number of instructions that the emulated machine executes for one operation: all of them, the guest's own, the
hypervisor's, and what its exits lead to. It is exact and repeats on any computer. It says nothing of caches, of the cost of a world switch
on a real processor (hundreds of cycles that are no instruction), or of what devices do. The least of many rounds is shown. The guest
(`tests/bench/ops.c`) is the first domain on both systems, in the same emulator; Xen is Debian's package, with its default options. For devices,
the guest (`tests/bench/io.c`) is beside dom0, which on Xen is Debian's PV kernel with blkback, netback, a bridge and Debian's tools; the goal is
half of Xen's figure. The disk answers at once, and the card (an e1000e, which cuts large packets itself) leads nowhere. Its figures move by a few
per cent from run to run, with what else dom0 has to do.
QEMU counts each step of a repeated string instruction as one, so 4 KiB copied or cleared by eight bytes are 512.

"""


def page(results):
    text = PAGE
    for machine in results:
        text += f"## {MACHINES[machine][0]}\n\n| operation | Hospes | Xen | ratio | goal |\n| --- | ---: | ---: | ---: | ---: |\n"
        for title, ours, theirs, ratio, goal in rows(results, machine):
            text += (f"| {title} | {ours:,} | {f'{theirs:,}' if theirs else '–'} | {f'{ratio:.2f}' if ratio else '–'} "
                     f"| {f'{goal:,}' if goal else ''}{' (missed)' if goal and ours > goal else ''} |\n")
        text += "\n"
    return text.rstrip("\n") + "\n"


def main():
    options = arguments()
    saved = f"{options.build}/bench.json"
    if options.docs:
        with open(saved) as file, open(options.docs, "w") as out:
            out.write(page(json.load(file)))
        return
    results = measure(options)
    for machine in results:
        print(*table(results, machine), "", sep="\n")
    with open(saved, "w") as file:
        json.dump(results, file, indent=1)
    with open(f"{options.build}/bench.svg", "w") as file:
        file.write(picture(results))
    print(f"Also in {saved} and {options.build}/bench.svg")


if __name__ == "__main__":
    main()
