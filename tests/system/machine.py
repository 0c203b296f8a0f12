"""A machine with Hospes on it, driven over its serial console.

Machine("amd") is QEMU with SVM, Machine("intel") is Bochs with VMX; both start through scripts/run.py. Every wait has
an end; a wait that ran out raises with the last lines of the console, which pytest shows."""
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time

import pexpect

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROMPT = "dom0# "
# How much longer than QEMU's machine, and than the machine this was written on, everything may take.
SLOWNESS = {"amd": 1, "intel": 6}
PATIENCE = float(os.environ.get("PATIENCE", "2"))
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x07")

sys.path.insert(0, os.path.join(ROOT, "scripts"))

BUILD = "build"  # set by conftest.py from --build
machines = []  # those of the test that runs, for conftest.py to show their consoles


def plain(text):
    """What a person would see of the text: no escape sequences, no carriage returns, backspaces carried out."""
    text = ESCAPE.sub("", text).replace("\r", "")
    while "\b" in text:
        text = re.sub(r"[^\b\n]?\b", "", text, count=1)
    return text


def built(name):
    return os.path.join(ROOT, BUILD, name)


class Failed(AssertionError):
    pass


class Machine:
    """modules: dom0's kernel with its arguments, then the archive; None for the built-in ones, [] for none."""

    def __init__(self, vendor="amd", modules=None, boot="multiboot", firmware="bios", smp=1, mem=1024,
                 dom0_mem="128M", cmdline="", options=()):
        self.vendor, self.log, self.started = vendor, "", time.monotonic()
        self.work = tempfile.TemporaryDirectory(prefix="hospes-test-")
        if modules is None:
            modules = [built("dom0"), built("archive.cpio")]
        command = [os.path.join(ROOT, "scripts/run.py"), "--build", os.path.join(ROOT, BUILD), "--vendor", vendor,
                   "--smp", str(smp), "--mem", str(mem), "--dom0-mem", dom0_mem, "--cmdline", cmdline, *options]
        if vendor == "intel" or boot == "iso":
            command += ["--boot", "iso", "--firmware", firmware, "--iso", self.iso(modules, dom0_mem, cmdline)]
        else:
            command += ["--boot", boot, "--dom0", modules[0] if modules else "none",
                        "--archive", modules[1] if len(modules) > 1 else "none"]
        self.command_line = shlex.join(command)
        self.child = pexpect.spawn(command[0], command[1:], encoding="utf-8", codec_errors="replace", echo=False,
                                   dimensions=(50, 200))
        self.child.delaybeforesend = None
        self.child.logfile_read = self
        machines.append(self)

    def iso(self, modules, dom0_mem, cmdline):
        path = os.path.join(self.work.name, "hospes.iso")
        subprocess.run([os.path.join(ROOT, "scripts/iso.sh"), path,
                        f"com1=115200,8n1 console=com1,vga dom0_mem={dom0_mem} {cmdline}", built("hospes"), *modules],
                       check=True, stdin=subprocess.DEVNULL)
        return path

    # pexpect's log file
    def write(self, text):
        self.log += text

    def flush(self):
        pass

    def console(self, lines=60):
        return "\n".join(plain(self.log).splitlines()[-lines:])

    def wait(self, pattern, timeout=10):
        """Waits for the regular expression, in seconds of a fast machine; returns what came before it."""
        limit = timeout * SLOWNESS[self.vendor] * PATIENCE
        try:
            self.child.expect(pattern, timeout=limit)
        except (pexpect.TIMEOUT, pexpect.EOF) as error:
            what = "ended" if isinstance(error, pexpect.EOF) else f"did not say so in {limit:.0f} s"
            raise Failed(f"waited for {pattern!r}, but the machine {what}\n{self.command_line}") from None
        return plain(self.child.before)

    def wait_line(self, pattern, timeout=10):
        """Waits for a line that has the regular expression in it; returns the line."""
        self.wait(pattern, timeout)
        found = self.child.after
        line = plain(self.log[:self.log.rfind(found)]).rsplit("\n", 1)[-1]
        return line + plain(found) + self.wait(r"\n")

    def wait_end(self, timeout=10):
        """Waits until the machine is off; returns what it said till then."""
        limit = timeout * SLOWNESS[self.vendor] * PATIENCE
        try:
            self.child.expect(pexpect.EOF, timeout=limit)
        except pexpect.TIMEOUT:
            raise Failed(f"the machine is not off after {limit:.0f} s\n{self.command_line}") from None
        return plain(self.child.before)

    def boot(self, timeout=20):
        """Waits for dom0's shell."""
        self.wait(re.escape(PROMPT), timeout)
        return self

    def send(self, text):
        self.child.send(text)

    def run(self, command, timeout=10):
        """Types a command at dom0's prompt; returns what it printed."""
        self.send(command + "\r")
        self.wait(re.escape(command) + r"[^\n]*\n", 5)
        return self.wait(re.escape(PROMPT), timeout).strip("\n")

    def until(self, command, pattern, timeout=10):
        """Repeats a command until its output has the pattern; returns that output."""
        limit = time.monotonic() + timeout * SLOWNESS[self.vendor] * PATIENCE
        while True:
            output = self.run(command)
            if re.search(pattern, output):
                return output
            if time.monotonic() > limit:
                raise Failed(f"{command!r} never showed {pattern!r} but:\n{output}")

    def close(self):
        self.child.close(force=True)
        self.work.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
