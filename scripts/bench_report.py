"""What `make bench` measured, as a table, as a picture and as docs/performance.md. No program of its own: see bench.py.

Results are machine -> system ("hospes", "xen") -> operation -> {"count": instructions, and perhaps "exits", "copied"}."""

# Operation: its title and what Hospes wants to reach on SVM and on VMX, in the order of the table.
OPERATIONS = {
    "xen_version": ("smallest hypercall", 450, 250),
    "cpuid": ("CPUID", 500, 250),
    "msr_read": ("MSR read", None, None),
    "port_read": ("port read", None, None),
    "apic_read": ("local APIC read", None, None),
    "yield": ("yield", None, None),
    "timer_set": ("one-shot timer set", 1000, 700),
    "timer_busy": ("timer to handler, guest busy", 2000, 2000),
    "timer_halted": ("timer to handler, guest halted", 2000, 2000),
    "event_masked": ("event send, masked", 900, 500),
    "event_pending": ("event send, pending", 900, 500),
    "event_delivered": ("event send to handler", None, None),
    "event_there_and_back": ("event to another domain and back", 4000, 4000),
    "ipi_there_and_back": ("IPI to another vCPU and back", None, None),
    "grant_map": ("grant map", None, None),
    "grant_unmap": ("grant unmap", None, None),
    "grant_pin_unpin": ("grant map and unmap, for devices", None, None),
    "grant_copy_16": ("grant copy, 16 bytes", None, None),
    "grant_copy_4k": ("grant copy, 4 KiB", 1600, 1300),
    "page_give_take": ("page given back and taken", 3000, 2500),
    "first_touch": ("first touch of memory", None, None),
    "add_to_physmap": ("add_to_physmap", None, None),
    "domain_create_destroy": ("domain of 64 MiB, made and destroyed", 1500000, 1500000),
    "toolstack_create_destroy": ("the same by dom0's tools", None, None),
    "read_4k": ("4 KiB random read, one at a time", None, None),
    "read_4k_of_32": ("4 KiB random read, 32 at a time", None, None),
    "read_1m": ("1 MiB sequential read", None, None),
    "send_1500": ("packet of 1,500 bytes, guest to device", None, None),
    "send_64k": ("packet of 64 KiB, guest to device", None, None),
    "receive_1500": ("packet of 1,500 bytes, device to guest", None, None),
    "receive_64k": ("64 KiB in such packets, device to guest", None, None),
    "power_on_to_dom0": ("power-on to dom0", None, None),
    "hypervisor_kib": ("hypervisor's memory, KiB", None, None),
    "image_kib": ("image, KiB", None, None),
    "code_lines": ("lines of code, by cloc", None, None),
}


class Row:
    """One operation on one machine; what was not measured is None."""

    def __init__(self, name, machine, ours, theirs):
        self.title, svm, vmx = OPERATIONS[name]
        self.ours, self.theirs = ours["count"], theirs.get("count")
        self.exits, self.copied = ours.get("exits"), ours.get("copied")
        self.ratio = self.ours / self.theirs if self.theirs else None
        half = self.theirs // 2 if self.theirs else None
        self.goal = {"svm": svm, "vmx": vmx, "io": half}.get(machine)
        self.missed = bool(self.goal) and self.ours > self.goal

    def words(self, nothing):
        """Ours, exits, bytes copied, Xen's, ratio, goal as text."""
        def text(value, form):
            return nothing if value is None else format(value, form)
        return (text(self.ours, ","), text(self.exits, ",.4g"), text(self.copied, ",.0f"), text(self.theirs, ","),
                text(self.ratio, ".2f"), f"{self.goal:,}" if self.goal else "")


def rows(results, machine):
    ours, theirs = results[machine]["hospes"], results[machine].get("xen", {})
    return [Row(name, machine, ours[name], theirs.get(name, {})) for name in OPERATIONS if name in ours]


def columns(table):
    """Whether exits and bytes copied are known of any row."""
    return any(row.exits is not None for row in table), any(row.copied is not None for row in table)


def text_table(title, table):
    """Lines for a terminal."""
    def line(first, words, last=""):
        ours, exits, copied, theirs, ratio, goal = words
        more = (f"{exits:>9}" if has_exits else "") + (f"{copied:>10}" if has_copied else "")
        return f"{first:<42}{ours:>12}{more}{theirs:>13}{ratio:>8}{goal:>11}{last}"
    has_exits, has_copied = columns(table)
    yield line(title, ("Hospes", "exits", "copied", "Xen", "ratio", "goal"))
    for row in table:
        yield line(row.title, row.words("-"), " missed" if row.missed else "")


def markdown_table(table):
    has_exits, has_copied = columns(table)
    heads = ["operation", "Hospes"] + ["exits"] * has_exits + ["bytes copied"] * has_copied + ["Xen", "ratio", "goal"]
    yield "| " + " | ".join(heads) + " |"
    yield "| --- |" + " ---: |" * (len(heads) - 1)
    for row in table:
        ours, exits, copied, theirs, ratio, goal = row.words("–")
        cells = [row.title, ours] + [exits] * has_exits + [copied] * has_copied
        cells += [theirs, ratio, goal + (" (missed)" if row.missed else "")]
        yield "| " + " | ".join(cells) + " |"


def picture(titles, results):
    """SVG: a bar for each ratio; the line is where both are equal."""
    step, left, unit, widest, body, y = 16, 330, 400, 1.5, [], 10
    for machine in results:
        y += 24
        body.append(f'<text x="10" y="{y}" font-weight="bold">{titles[machine]}: Hospes / Xen</text>')
        top = y + 6
        for row in rows(results, machine):
            if row.ratio is None:
                continue
            y += step
            width, color = min(row.ratio, widest) * unit, "#2a7" if row.ratio <= 1 else "#c53"
            body.append(f'<text x="10" y="{y}">{row.title}</text>'
                        f'<rect x="{left}" y="{y - 10}" height="11" width="{width:.1f}" fill="{color}"/>'
                        f'<text x="{left + width + 5:.1f}" y="{y}">{row.ratio:.2f}</text>')
        body.append(f'<path d="M{left + unit} {top}V{y + 4}" stroke="#888"/>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="1000" height="{y + 20}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="white"/>{"".join(body)}</svg>\n')


PAGE = """\
# Performance

Written by `make bench-docs` from what `make bench` measured; do not edit.

A figure is the number of instructions that the emulated machine executes for one operation: all of them, the guest's own, the
hypervisor's, and what its exits lead to. It is exact and repeats on any computer. It says nothing of caches, of the cost of a world
switch on a real processor (hundreds of cycles that are no instruction), or of what devices do. The least of many rounds is shown.
Beside Hospes' figure stand the exits that one operation takes, by the hypervisor's own counters (the verb `perf` shows them);
Debian's Xen has none. Where instructions go, function by function, shows `make bench-profile OP=cpuid` (names: `tests/bench/ops.c`).

The guest (`tests/bench/ops.c`) is the first domain on both systems, in the same emulator; Xen is Debian's package, with its default
options. The other domain that events go to and come back from polls for them, as the guest does (`tests/bench/common/pong.asm`).
With two processors (`tests/bench/pair.c`) the other domain, or the guest's other vCPU, is on the other one, and who waits sleeps;
Xen was not seen to come up there with a clock that counts.

For devices, the guest (`tests/bench/io.c`) is beside dom0, which on Xen is Debian's PV kernel with blkback, netback, a bridge and
Debian's tools; the goal is half of Xen's figure. The disk answers at once. One card leads nowhere; what comes in through another was
sent by the same guest through a third on the same wire, and what sending costs is taken off. All are e1000e, which cut large packets
themselves: 64 KiB are 46 packets on the wire (IP fragments before QEMU 8.0). These figures move by a few per cent from run to run,
with what else dom0 has to do. Their exits are the mean over all requests, and so are the bytes that the hypervisor copied by grant,
which for the disk are lists of segments (8 bytes for each 4 KiB), never data.

QEMU counts each step of a repeated string instruction as one, so 4 KiB copied or cleared by eight bytes are 512. It leaves out an
instruction that leads to an exit.
"""


def page(titles, results):
    parts = [PAGE]
    for machine in results:
        parts.append(f"## {titles[machine]}\n\n" + "\n".join(markdown_table(rows(results, machine))) + "\n")
    return "\n".join(parts)
