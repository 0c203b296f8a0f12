#!/usr/bin/python3
"""Runs the built image in an emulator with the serial console on the terminal.

QEMU is an AMD machine (SVM) when it emulates, and the machine's own kind with --accel kvm. Bochs is an Intel
machine (VMX). The tests start their machines through this file, too."""
import argparse
import ctypes
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import tty

OVMF = ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/qemu/OVMF.fd"]
# An AMD machine; what follows the rdtscp is what TCG would warn that it lacks.
AMD_CPU = ("EPYC,+svm,+npt,-monitor,-rdtscp,-rdseed,-sha-ni,-fxsr-opt,-misalignsse,-3dnowprefetch,-osvw,-topoext,"
           "-nrip-save,-xsavec")
COMMAND_LINE = "com1=115200,8n1 console=com1,vga"

# What QEMU calls the devices. AHCI disks hang on the machine's own controller, whose port 2 is the ISO's.
DISK_DEVICES = {"virtio": "virtio-blk-pci", "ahci": "ide-hd", "nvme": "nvme"}
AHCI_PORTS = (0, 1, 3, 4, 5)
NIC_DEVICES = {"virtio": "virtio-net-pci", "e1000e": "e1000e", "e1000": "e1000"}

BOCHSRC = """\
config_interface: textconfig
display_library: rfb, options="timeout=0"
cpu: model={model}, count={smp}, ips={ips}, reset_on_triple_fault=1
clock: sync=none, time0=utc
memory: guest={mem}, host={mem}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path="{iso}", status=inserted
boot: cdrom
com1: enabled=1, mode=socket-client, dev=localhost:{port}
sound: driver=dummy
{nic}log: {work}/log
panic: action=fatal
error: action=ignore
info: action=report
debug: action=ignore
"""


BOCHS_NIC = """\
pci: enabled=1, chipset=i440fx, slot1=e1000
e1000: enabled=1, mac=52:54:00:12:34:56, ethmod=slirp
"""


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--vendor", choices=["amd", "intel"], default="amd", help="intel without --accel kvm: Bochs")
    add("--accel", choices=["tcg", "kvm"], default="tcg")
    add("--parallel", action="store_true", help="TCG: a thread for each CPU; see docs/debugging.md for what breaks")
    add("--boot", choices=["multiboot", "pvh", "iso"], default="multiboot", help="multiboot, pvh: QEMU's -kernel; pvh: dom0 only")
    add("--firmware", choices=["bios", "uefi"], default="bios", help="what boots the ISO")
    add("--cpu", help="another processor model of the emulator")
    add("--smp", type=int, default=1, metavar="CPUS")
    add("--mem", type=int, default=1024, metavar="MIB")
    add("--dom0-mem", default="128M")
    add("--cmdline", default="", help="more words for the hypervisor")
    add("--build", default="build", help="where the image is")
    add("--iso", help="default: BUILD/hospes.iso; its command line is its own")
    add("--dom0", help="dom0's kernel and its arguments; 'none': no module")
    add("--archive", help="default: BUILD/archive.cpio; 'none': no archive")
    add("--disk", action="append", default=[], metavar="FILE[,driver=virtio|ahci|nvme][,snapshot=on][,...]",
        help="QEMU: a disk, an image file as it is; more words are for QEMU's device; may be repeated")
    add("--nic", action="append", default=[], metavar="virtio|e1000e|e1000|none[,...]",
        help="a network card on the user network 10.0.2.0/24; Bochs: always an e1000; may be repeated")
    add("--forward", action="append", default=[], metavar="PORT:GUEST-PORT",
        help="QEMU: a TCP port of this computer that is the first card's guest's, 10.0.2.15")
    add("--qemu", action="append", default=[], metavar="ARGUMENTS", help="more words for QEMU's command line")
    add("--icount", type=int, nargs="?", const=0, metavar="SHIFT",
        help="QEMU: virtual time and the TSC count instructions; each is 2^SHIFT ns, 1 without")
    add("--ips", type=int, default=50000000, metavar="COUNT", help="Bochs: instructions that a CPU executes in a second of its time")
    add("--once", action="store_true", help="QEMU: end at a reboot")
    add("--keep", action="store_true", help="Bochs: keep its configuration and log")
    add("--print", action="store_true", help="show the emulator's command line only")
    options = parser.parse_args(argv)
    options.iso = options.iso or f"{options.build}/hospes.iso"
    options.dom0 = options.dom0 or f"{options.build}/dom0"
    options.archive = options.archive or f"{options.build}/archive.cpio"
    return options


def split_words(text):
    """"name,key=value,..." as the name and a dictionary."""
    name, *words = text.split(",")
    return name, dict(word.partition("=")[::2] for word in words)


def qemu_disks(options):
    command, ahci_ports = [], iter(AHCI_PORTS)
    for number, text in enumerate(options.disk):
        path, words = split_words(text)
        driver = words.pop("driver", "virtio")
        if driver not in DISK_DEVICES:
            sys.exit(f"run.py: --disk {text}: driver={driver} is none of {', '.join(DISK_DEVICES)}")
        if not os.path.exists(path):
            sys.exit(f"run.py: --disk {text}: there is no file {path}; truncate -s 1G {path} makes an empty one")
        drive = f"if=none,id=disk{number},format=raw,discard=unmap,file={path}"
        drive += "".join(f",{key}={words.pop(key)}" for key in ("snapshot", "readonly") if key in words)
        if driver == "ahci":
            port = next(ahci_ports, None)
            if port is None:
                sys.exit(f"run.py: --disk {text}: the machine has {len(AHCI_PORTS)} AHCI ports")
            words["bus"] = f"ide.{port}"
        if driver == "nvme":
            words.setdefault("serial", f"disk{number}")
        device = f"{DISK_DEVICES[driver]},drive=disk{number}"
        command += ["-drive", drive, "-device", device + "".join(f",{key}={value}" for key, value in words.items())]
    return command


def qemu_nics(options):
    command, forwards = ["-nic", "none"], options.forward
    for number, text in enumerate(nic for nic in options.nic if nic != "none"):
        model, words = split_words(text)
        if model not in NIC_DEVICES:
            sys.exit(f"run.py: --nic {text}: {model} is none of {', '.join(NIC_DEVICES)}, none")
        ports = (forward.partition(":")[::2] for forward in forwards)
        network = f"user,id=net{number}" + "".join(f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for here, there in ports)
        device = f"{NIC_DEVICES[model]},netdev=net{number}"
        command += ["-netdev", network, "-device", device + "".join(f",{key}={value}" for key, value in words.items())]
        forwards = []
    return command


def qemu(options):
    """QEMU's command line; the console is its standard input and output."""
    command = ["qemu-system-x86_64", "-machine", "q35", "-m", str(options.mem), "-smp", str(options.smp),
               "-display", "none", "-chardev", "stdio,id=console,mux=on,signal=off", "-serial", "chardev:console",
               "-mon", "chardev=console", "-echr", "0x14"]
    command += qemu_disks(options) + qemu_nics(options)
    single = options.accel == "tcg" and not options.parallel
    command += ["-accel", "tcg,thread=single" if single else options.accel]
    model = AMD_CPU + (",+invtsc,x-force-features=on" if options.icount is not None else "")  # or Xen would trap RDTSC
    command += ["-cpu", options.cpu or ("host" if options.accel == "kvm" else model)]
    if options.icount is not None:
        command += ["-icount", f"shift={options.icount},sleep=off"]
    if options.once:
        command += ["-no-reboot"]
    for words in options.qemu:
        command += shlex.split(words)
    if options.boot == "iso":
        if options.firmware == "uefi":
            firmware = next((path for path in OVMF if os.path.exists(path)), None)
            if not firmware:
                sys.exit("run.py: no UEFI firmware. Run: sudo apt-get install ovmf")
            command += ["-drive", f"if=pflash,format=raw,readonly=on,file={firmware}"]
        return command + ["-cdrom", options.iso, "-boot", "d"]
    image = "hospes32" if options.boot == "multiboot" else "hospes"
    modules = [module for module in (options.dom0, options.archive) if module != "none"]
    if options.boot == "pvh":  # QEMU hands over one module that way, and no words for it
        modules = [module.split()[0] for module in modules[:1]]
    command += ["-kernel", f"{options.build}/{image}",
                "-append", f"{COMMAND_LINE} dom0_mem={options.dom0_mem} {options.cmdline}".strip()]
    return command + (["-initrd", ",".join(modules)] if modules else [])


def raw_terminal():
    """Hands every key to the machine; returns what puts the terminal back."""
    if not sys.stdin.isatty():
        return lambda: None
    before = termios.tcgetattr(0)
    tty.setraw(0)
    return lambda: termios.tcsetattr(0, termios.TCSADRAIN, before)


def die_with_parent():
    """In the child: whatever ends this script, a SIGKILL too, ends the emulator."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def bochs(options):
    """Runs Bochs, whose serial port is a socket, until it ends. Ctrl-T x ends it, as it does QEMU."""
    if options.disk:
        sys.exit("run.py: Bochs' disks are IDE, which dom0 has no driver for; leave out --disk and take a RAM disk")
    work = tempfile.mkdtemp(prefix="hospes-bochs-")
    nic = BOCHS_NIC if any(nic != "none" for nic in options.nic) else ""
    with socket.create_server(("localhost", 0)) as server:
        with open(f"{work}/bochsrc", "w") as config:
            config.write(BOCHSRC.format(model=options.cpu or "corei7_skylake_x", smp=options.smp, mem=options.mem, ips=options.ips,
                                        iso=os.path.abspath(options.iso), port=server.getsockname()[1],
                                        nic=nic, work=work))
        with open(f"{work}/go", "w") as commands:  # Debian's Bochs starts in its debugger
            commands.write("continue\n")
        emulator = subprocess.Popen(["bochs", "-q", "-f", f"{work}/bochsrc", "-rc", f"{work}/go"], stdin=subprocess.DEVNULL,
                                    stdout=open(f"{work}/out", "w"), stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        for end in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(end, lambda *_: sys.exit(1))
        restore = raw_terminal()
        try:
            server.settimeout(20)
            bridge(server.accept()[0])
        except TimeoutError:
            sys.stderr.write(open(f"{work}/out").read())
            sys.exit("run.py: Bochs did not start")
        finally:
            restore()
            emulator.terminate()
            emulator.wait()
            if options.keep:
                print(work)
            else:
                shutil.rmtree(work)


def bridge(line):
    """Copies between the serial line and the terminal until either ends."""
    sources, escape = [line, sys.stdin], False
    while True:
        for source in select.select(sources, [], [])[0]:
            data = os.read(source.fileno(), 4096)
            if source is line:
                if not data:
                    return
                os.write(1, data)
            elif not data:
                sources.remove(sys.stdin)
            elif escape and data[:1] == b"x":
                return
            else:
                escape = data.endswith(b"\x14") and sys.stdin.isatty()
                line.sendall(data[:-1] if escape else data)


def main():
    options = arguments()
    if options.accel == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        sys.exit("run.py: /dev/kvm cannot be used here; leave out ACCEL=kvm")
    if options.print:
        print(*qemu(options))
    elif options.vendor == "intel" and options.accel == "tcg":
        bochs(options)
    else:
        os.execvp("qemu-system-x86_64", qemu(options))


if __name__ == "__main__":
    main()
