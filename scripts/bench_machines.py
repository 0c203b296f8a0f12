"""The machines that `make bench` measures on, and how one run on each is started and read. No program of its own: see bench.py."""
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 1200  # seconds for one run, a slow computer's included
MEMORY = 1024  # MiB
HYPERVISOR = ("hv", "arch", "boot", "drivers/platform", "lib", "linker.ld")  # the sources of its image
SYSTEMS = ("hospes", "xen")
WORDS = "com1=115200,8n1 console=com1 dom0_mem=128M"
XEN_WORDS = WORDS + " dom0=pvh noreboot"
BOCHS_XEN_WORDS = XEN_WORDS + " iommu=off dom0-iommu=none"
# Machine: its title and arguments of run.py. With two processors the guest is tests/bench/pair.c, and there is no Xen: with
# a clock that counts instructions it was not seen to come up on them.
MACHINES = {
    "svm": ("QEMU, AMD SVM", ["--icount", "--once"]),
    "vmx": ("Bochs, Intel VMX", ["--vendor", "intel"]),
    "bochs-svm": ("Bochs, AMD SVM", ["--vendor", "intel", "--cpu", "ryzen"]),
    "svm2": ("QEMU, AMD SVM, two processors", ["--icount", "--once", "--smp", "2"]),
    "io": ("QEMU, AMD SVM, a guest's devices", ["--icount", "--once"]),
}
ALONE = ("svm2",)  # without Xen
TITLES = {machine: title for machine, (title, _) in MACHINES.items()}

# A disk that answers at once, a card whose packets go nowhere but, by their first bytes, into a file, and two on one wire.
DEVICES = """
-drive if=none,id=null,driver=null-co,size=1G,read-zeroes=on -device virtio-blk-pci,drive=null,ioeventfd=off,addr=10
-netdev hubport,id=sink,hubid=0 -device e1000e,netdev=sink,addr=11
-object filter-dump,id=wire,netdev=sink,maxlen=64,file={wire}
-netdev hubport,id=out,hubid=1 -device e1000e,netdev=out,addr=12 -netdev hubport,id=in,hubid=1 -device e1000e,netdev=in,addr=13
"""
COUNTED = (200, 400)  # rounds of tests/bench/io.c, from whose difference the exits of one are found
WIRE_HEAD, WIRE_PACKET = 24, 16 + 64  # bytes of that file
BARE_CONFIG = """\
name = "io"
type = "pvh"
kernel = "{kernel}"
memory = 64
vcpus = 1
"""
CONFIG = BARE_CONFIG + """\
disk = [ "phy:/dev/{disk},xvda,r" ]
vif = [ "bridge=xenbr0", "bridge=xenbr1", "bridge=xenbr2" ]
"""
TRIES = 5
PACKETS = 800 * 47  # that tests/bench/io.c sends there, at least


class Failed(Exception):
    """A run that did not come to its end, in words."""


def read_figures(said):
    """Of the lines "BENCH operation count [what=number...]"."""
    figures = {}
    for name, count, more in re.findall(r"^BENCH (\w+) (\d+)((?: \w+=\d+)*)\r?$", said, re.M):
        figures[name] = {"count": int(count)}
        for word in more.split():
            what, _, number = word.partition("=")
            figures[name][what] = int(number)
    return figures


class Bench:
    def __init__(self, build, cache):
        self.build, self.cache = build, cache
        self.ops, self.pair, self.io = (f"{build}/bench/{guest}" for guest in ("ops", "pair", "io"))
        self.environment = {**os.environ, "CACHE": f"{cache}/xen"}
        xen = self.output([f"{HERE}/peer-xen.sh", "--fetch"]).strip()
        self.images = {"hospes": f"{build}/hospes", "xen": xen}
        # QEMU's model for machines that count.
        printed = self.output([f"{HERE}/run.py", "--build", build, "--icount", "--print"])
        self.processor = re.search(r"-cpu (\S+)", printed)[1]

    def output(self, command):
        return subprocess.run(command, env=self.environment, check=True, text=True, stdout=subprocess.PIPE).stdout

    def run_py(self, machine):
        return [f"{HERE}/run.py", "--build", self.build, "--mem", str(MEMORY), *MACHINES[machine][1]]

    def read(self, command, environment, last="BENCH end"):
        """What it says until a line that starts so."""
        said, ended = "", False
        with subprocess.Popen(command, env={**self.environment, **environment}, stdin=subprocess.DEVNULL, text=True,
                              errors="replace", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              start_new_session=True) as child:  # so that a script's emulator ends with it
            limit = threading.Timer(LIMIT, os.killpg, (child.pid, signal.SIGTERM))
            limit.start()
            try:
                for line in child.stdout:
                    said += line
                    ended = line.startswith(last)
                    if ended or "crashed" in line:
                        break
            finally:
                limit.cancel()
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGTERM)
        if not ended:
            raise Failed(f"it did not come to its end:\n{said[-2000:]}")
        return said

    def run(self, system, machine):
        """Figures of one run."""
        with tempfile.TemporaryDirectory(prefix="hospes-bench-") as work:
            if machine == "io":
                return self.run_io(system, work)
            if machine == "svm2":
                return self.run_first(system, machine, self.pair, work)
            figures = self.add_sizes(system, machine, self.run_first(system, machine, self.ops, work))
            if machine == "svm" and system == "hospes":
                figures["toolstack_create_destroy"] = {"count": self.toolstack(work)}
            return figures

    # --- the guest is the first domain ----------------------------------------------------------------------

    def run_first(self, system, machine, guest, work):
        environment = {"DOM0": guest, "ARCHIVE": "", "MEM": str(MEMORY), "DOM0_MEM": "128M"}
        if "--vendor" in MACHINES[machine][1]:
            line = {"hospes": WORDS, "xen": BOCHS_XEN_WORDS}[system]
            subprocess.run([f"{HERE}/iso.sh", f"{work}/iso", line, self.images[system], guest], check=True,
                           env={**os.environ, "MULTIBOOT": {"hospes": "2", "xen": "1"}[system]})
            command = self.run_py(machine) + ["--boot", "iso", "--iso", f"{work}/iso"]
        elif system == "hospes":
            command = self.run_py(machine) + ["--dom0", guest, "--archive", "none"]
        else:
            command = [f"{HERE}/peer-xen.sh", "-icount", "shift=0,sleep=off", "-cpu", self.processor, "-no-reboot"]
        return read_figures(self.read(command, environment))

    def add_sizes(self, system, machine, figures):
        if machine != "svm":  # GRUB's menu waits on the way, and Xen starts the guest's count anew
            del figures["power_on_to_dom0"]
        theirs = figures.pop("pages_of_domains_and_free")["count"] << 2
        figures["hypervisor_kib"] = {"count": (MEMORY << 10) - theirs}
        text, data = self.output(["size", self.images[system]]).splitlines()[1].split()[:2]
        figures["image_kib"] = {"count": (int(text) + int(data)) >> 10}
        if system == "hospes" and shutil.which("cloc"):
            counted = self.output(["cloc", "--quiet", "--csv", *(f"{HERE}/../{name}" for name in HYPERVISOR)])
            figures["code_lines"] = {"count": int(counted.splitlines()[-1].split(",")[4])}
        return figures

    def toolstack(self, work):
        """What dom0's verbs take to make a paused domain and to destroy it: the least of some tries."""
        script = "time create -q -p io.cfg\ntime destroy io\n" * TRIES + "poweroff\n"
        said = self.with_dom0(work, BARE_CONFIG.format(kernel="io"), script, "", "(hospes) dom0 shut down")
        busy = [int(number) for number in re.findall(r"^time: .* busy (\d+) ns", said, re.M)]
        if len(busy) != 2 * TRIES:
            raise Failed(f"dom0 did not measure it:\n{said[-2000:]}")
        return min(create + destroy for create, destroy in zip(busy[::2], busy[1::2]))

    # --- the guest has devices, and is started by the first domain's tools -------------------------------------

    def run_io(self, system, work):
        wire = f"{work}/wire"
        devices = DEVICES.format(wire=wire)
        said = self.hospes_io(work, devices) if system == "hospes" else self.xen_io(work, devices)
        packets = (os.path.getsize(wire) - WIRE_HEAD) // WIRE_PACKET
        if packets < PACKETS:
            raise Failed(f"{packets} packets came out of the card instead of {PACKETS}")
        figures = read_figures(said)
        if system == "hospes":
            self.add_counters(work, devices, figures)
        return figures

    def hospes_io(self, work, devices, script="create -c io.cfg\npoweroff\n", last="BENCH end"):
        return self.with_dom0(work, CONFIG.format(kernel="io", disk="vda"), script, devices, last)

    def with_dom0(self, work, config, script, devices, last):
        """Boots Hospes with dom0, which runs the script; the guest and its configuration are io and io.cfg there."""
        for name, text in {"io.cfg": config, "rc": script}.items():
            with open(f"{work}/{name}", "w") as file:
                file.write(text)
        subprocess.run([f"{HERE}/archive.sh", f"{work}/archive", f"io={self.io}", f"io.cfg={work}/io.cfg", f"rc={work}/rc"],
                       check=True)
        return self.read(self.run_py("io") + ["--archive", f"{work}/archive", "--qemu", devices], {}, last)

    def add_counters(self, work, devices, figures):
        """Exits and bytes copied by grant for each request, by what the hypervisor's counters say of few and of more."""
        script, names = "", list(figures)
        for name in names:
            for rounds in COUNTED:
                script += f"perf -r\ncreate -c io.cfg name={name}{rounds} extra='only={name} rounds={rounds}'\nperf\n"
        said = self.hospes_io(work, devices, script + "poweroff\n", "(hospes) dom0 shut down")
        requests = [int(number) for number in re.findall(r" operations=(\d+)", said)]
        parts = said.split("BENCH end")[1:]  # each starts with the counters of a run
        if len(parts) != len(requests) or len(parts) != len(COUNTED) * len(names):
            raise Failed(f"a guest did not come to its end:\n{said[-2000:]}")
        for what, counter in {"exits": "exits: ", "copied": "bytes copied by grant"}.items():
            sums = [sum(int(number) for number in re.findall(rf"^{counter}.* T= *(\d+)", part, re.M)) for part in parts]
            for i, name in enumerate(names):
                few, more = 2 * i, 2 * i + 1
                figures[name][what] = round((sums[more] - sums[few]) / (requests[more] - requests[few]), 2)
            for size in ("1500", "64k"):  # what comes in was sent by the same guest
                figures[f"receive_{size}"][what] = round(figures[f"receive_{size}"][what] - figures[f"send_{size}"][what], 2)

    def xen_io(self, work, devices):
        with open(f"{work}/io.cfg", "w") as file:
            file.write(CONFIG.format(kernel="/run/guest", disk="vdd"))
        # A PV dom0 under TCG does not come up with SMAP and SMEP.
        environment = {"CACHE": self.cache, "GUEST": self.io, "CONFIG": f"{work}/io.cfg", "MEM": str(MEMORY),
                       "CPU": self.processor + ",-smap,-smep"}
        return self.read([f"{HERE}/peer-dom0.sh", "-icount", "shift=0,sleep=off", *shlex.split(devices)], environment)
