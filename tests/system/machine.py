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
SLOWNESS = {"amd": 1, "intel": 4}
PATIENCE = float(os.environ.get("PATIENCE", "2"))
OVERWRITTEN = re.compile(r"[^\n]*\r(?=[^\r\n])")
BEGUN = re.compile(r"(\r+|\x1b[\[(]?[0-9;?]*)?\Z")  # at the end: what may mean more when the next characters come
NOISE = r"(?:\((?:hospes|d\d+v\d+)\)[^\n]*\n)*"
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|[\x07\r\0]")

sys.path.insert(0, os.path.join(ROOT, "scripts"))

BUILD = "build"  # set by conftest.py from --build
machines = []  # those of the test that runs, for conftest.py to show their consoles


def plain(text):
    """What a person would see of the text: no escape sequences, no overwritten lines, backspaces carried out."""
    text = ESCAPE.sub("", OVERWRITTEN.sub("", text))
    while "\b" in text:
        text = re.sub(r"[^\b\n]?\b", "", text, count=1)
    return text


def built(name):
    return os.path.join(ROOT, BUILD, name)


def guest_config(name, kernel, **keys):
    """The text of a domain's configuration."""
    keys = {"type": "pvh", "memory": 24, "vcpus": 1, "on_crash": "destroy", "on_reboot": "destroy", **keys}
    return "".join(f"{key} = {value}\n" if isinstance(value, int) else f'{key} = "{value}"\n'
                   for key, value in {"name": name, "kernel": kernel, **keys}.items())


def make_archive(folder, files):
    """An archive of files in the folder: {name in the archive: path, or text that has a newline}. Returns its path."""
    words = []
    for number, (name, source) in enumerate(files.items()):
        if "\n" in source:
            path = os.path.join(folder, f"text{number}")
            with open(path, "w") as file:
                file.write(source)
            source = path
        words.append(f"{name}={source}")
    path = os.path.join(folder, "archive.cpio")
    subprocess.run([os.path.join(ROOT, "scripts/archive.sh"), path, *words], check=True)
    return path


class Failed(AssertionError):
    pass


class Machine:
    """modules: dom0's kernel with its arguments, then the archive; None for the built-in ones, [] for none.
    debug: with the hypervisor that checks its locks and assertions."""

    def __init__(self, vendor="amd", modules=None, boot="multiboot", firmware="bios", smp=1, mem=1024,
                 dom0_mem="128M", cmdline="", options=(), debug=False):
        self.vendor = vendor
        self.build = built("debug") if debug else os.path.join(ROOT, BUILD)  # where the hypervisor is
        self.log = ""  # all that the console said
        self.unread = ""  # the end of it that no wait has passed yet
        self.work = tempfile.TemporaryDirectory(prefix="hospes-test-")
        if modules is None:
            modules = [built("dom0"), built("archive.cpio")]
        command = [os.path.join(ROOT, "scripts/run.py"), "--build", self.build, "--vendor", vendor,
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
        machines.append(self)

    def iso(self, modules, dom0_mem, cmdline):
        path = os.path.join(self.work.name, "hospes.iso")
        subprocess.run([os.path.join(ROOT, "scripts/iso.sh"), path,
                        f"com1=115200,8n1 console=com1,vga dom0_mem={dom0_mem} {cmdline}", f"{self.build}/hospes", *modules],
                       check=True, stdin=subprocess.DEVNULL)
        return path

    def console(self, lines=60):
        return "\n".join(plain(self.log).splitlines()[-lines:])

    def wait(self, pattern, timeout=10):
        """Waits for the regular expression, in seconds of a fast machine; returns what came before it."""
        return self.wait_match(pattern, timeout)[0]

    def wait_match(self, pattern, timeout=10):
        """The same; returns what came before it and the match."""
        limit = timeout * SLOWNESS[self.vendor] * PATIENCE
        end = time.monotonic() + limit
        while True:
            begun = BEGUN.search(self.unread).start()
            text, rest = plain(self.unread[:begun]), self.unread[begun:]
            self.unread = text + rest
            match = re.search(pattern, text, re.M)
            if match:
                self.unread = text[match.end():] + rest
                return text[:match.start()], match
            if not self.read(end - time.monotonic()):
                why = "it ended" if not self.child.isalive() else f"it did not say so in {limit:.0f} s"
                raise Failed(f"waited for {pattern!r}, but {why}\n{self.command_line}")

    def read(self, timeout):
        """Takes in what the console says; False when it said nothing in that time or never will again."""
        try:
            text = self.child.read_nonblocking(65536, max(timeout, 0))
        except (pexpect.TIMEOUT, pexpect.EOF):
            return False
        self.log += text
        self.unread += text
        return True

    def wait_end(self, timeout=10):
        """Waits until the machine is off; returns what it said till then."""
        limit = timeout * SLOWNESS[self.vendor] * PATIENCE
        end = time.monotonic() + limit
        while self.read(end - time.monotonic()):
            pass
        if self.child.isalive() and not self.child.flag_eof:
            raise Failed(f"the machine is not off after {limit:.0f} s\n{self.command_line}")
        before, self.unread = plain(self.unread), ""
        return before

    def boot(self, timeout=20):
        """Waits for dom0's shell."""
        self.wait("^" + PROMPT, timeout)
        return self

    def send(self, text):
        self.child.send(text)

    def type(self, command):
        """Types a line and waits until it was echoed; a line of the hypervisor's may come in between anywhere."""
        self.send(command + "\r")
        self.wait(NOISE.join(re.escape(c) for c in command) + NOISE + r" *\n", 5)

    def run(self, command, timeout=10):
        """Types a command at dom0's prompt; returns what it printed."""
        self.type(command)
        return re.sub(NOISE, "", self.wait("^" + PROMPT, timeout)).strip("\n")

    def until(self, command, pattern, timeout=10, wanted=True):
        """Repeats a command until its output has the pattern, or, with wanted=False, no longer has it."""
        limit = time.monotonic() + timeout * SLOWNESS[self.vendor] * PATIENCE
        while True:
            output = self.run(command)
            if bool(re.search(pattern, output, re.M)) == wanted:
                return output
            if time.monotonic() > limit:
                raise Failed(f"{command!r} {'never showed' if wanted else 'went on to show'} {pattern!r}:\n{output}")

    def until_gone(self, name, timeout=10):
        """Until no domain has that name any more."""
        self.until("list", f"^{name} ", timeout, wanted=False)

    def free_kib(self, expected=None):
        """Memory that no domain has, from the debug key m. With expected: waits a little until it is that."""
        for _ in range(20):
            self.send("\x01\x01\x01m\x01\x01\x01")
            free = int(self.wait_match(r"(\d+) KiB free")[1][1])
            self.wait("Serial input to DOM0.*\n")
            if expected in (None, free):
                break
            self.run("sleep 0.1")
        return free

    def close(self):
        self.child.close(force=True)
        self.work.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
