"""How domains share processors, as they see it themselves, in emulated time: a second is what the machine's clock
says. With --icount it is so many instructions, whatever else this computer does; Bochs' is that anyway, and two
processors are always Bochs': QEMU with --icount lets the first one run until a timer is due, and then has no time
left for the second."""
import re

import pytest

from machine import PROMPT, Machine, built, guest_config, make_archive

LEAVE = "\x1d"  # Ctrl-]
SPIN = built("guest/spin")
STEPS = 4  # marks in a second
ONE = {"vendor": "amd", "options": ["--icount=4"]}  # a machine of 62 million instructions a second
TWO = {"vendor": "intel", "smp": 2, "options": ["--ips=25000000"]}


class Share:
    """A machine with domains of tests/guest/spin.c."""

    def __init__(self, tmp_path, machine, **guests):
        """guests: by name, the keys of their configurations."""
        files = {"kernel": SPIN, "go": "".join(f"unpause {name}\n" for name in guests)}
        for name, keys in guests.items():
            files[f"{name}.cfg"] = guest_config(name, "kernel", **{"memory": 4, "on_poweroff": "preserve", **keys})
        files["make"] = "".join(f"create -p -q {name}.cfg\n" for name in guests)
        self.names = list(guests)
        self.machine = Machine(modules=[built("dom0"), make_archive(tmp_path, files)], mem=640, **machine).boot(40)
        self.machine.run("run make", timeout=120)

    def start(self):
        self.machine.run("run go", timeout=60)

    def said(self, name, pattern):
        """What a domain said about itself before it was gone."""
        self.machine.type(f"console {name}")
        match = self.machine.wait_match(pattern + " end", timeout=20)[1]
        self.machine.send(LEAVE)
        self.machine.wait("^" + PROMPT, timeout=20)
        return match

    def wait(self):
        """Until all have ended. Nothing is typed meanwhile: dom0 takes part in what is measured."""
        for _ in self.names:
            self.machine.wait(r": powered off: preserve$", timeout=120)

    def progress(self, skip=2):
        """What each domain got done while all of them ran, without the first marks; and in how many seconds."""
        self.wait()
        marks = {}
        for name in self.names:
            match = self.said(name, r"progress from (\d+):((?: \d+)+)")
            marks[name] = dict(enumerate(map(int, match[2].split()), int(match[1])))
        first = max(map(min, marks.values())) + skip
        last = min(map(max, marks.values()))
        assert last - first > STEPS, marks
        return {name: mark[last] - mark[first] for name, mark in marks.items()}, (last - first) / STEPS


def near(value, wanted, percent):
    return abs(value - wanted) <= wanted * percent / 100


def check_weights(done, weights):
    whole = sum(done.values())
    for name, weight in weights.items():
        assert near(done[name] / whole, weight / sum(weights.values()), 3), done


@pytest.mark.parametrize("host, seconds", [(ONE, 5), (TWO, 4)], ids=["one", "two"])
def test_weights(tmp_path, host, seconds):
    weights = {f"{name}{i}": weight for i in range(host.get("smp", 1)) for name, weight in (("a", 128), ("b", 256), ("c", 512))}
    share = Share(tmp_path, host, **{
        name: {"cpu_weight": weight, "extra": f"for={seconds}"} for name, weight in weights.items()})
    listed = share.machine.run("sched-credit2", timeout=20)
    for name, weight in weights.items():
        assert re.search(rf"^{name} +\d+ +{weight} +0$", listed, re.M), listed
    share.start()
    done, _ = share.progress()
    check_weights(done, weights)


def test_cap(tmp_path):
    """A quarter of the processor for one, the rest for the other, which would have half of it."""
    share = Share(tmp_path, ONE, capped={"cap": 25, "extra": "for=6"}, free={"extra": "for=6"})
    share.start()
    done, _ = share.progress()
    assert near(done["capped"] / sum(done.values()), 0.25, 2), done


def test_storm(tmp_path):
    """One that does nothing but hypercalls, and one that never lets an interrupt in, get no more than their share: the
    third one has its own."""
    share = Share(tmp_path, ONE, calm={"extra": "for=3"}, other={"extra": "for=3"})
    share.start()
    done, seconds = share.progress()
    alone = sum(done.values()) / seconds
    share = Share(tmp_path, ONE, storm={"extra": "for=3 storm"}, closed={"extra": "for=3 closed"}, calm={"extra": "for=3"})
    share.start()
    done, seconds = share.progress()
    for name in ("calm", "closed"):
        assert near(done[name] / seconds, alone / 3, 4), (done, alone, seconds)


def test_latency(tmp_path):
    """Who wakes on a processor that has more to do than it can runs within a millisecond."""
    share = Share(tmp_path, ONE, sleeper={"extra": "sleep for=4"}, **{f"busy{i}": {"extra": "for=5"} for i in range(5)})
    share.start()
    share.wait()
    match = share.said("sleeper", r"late (\d+) us of (\d+) naps, at most (\d+)")
    assert int(match[2]) > 400
    assert int(match[1]) <= 1000, match[0]


def test_latency_and_pins_on_two(tmp_path):
    """The same on two; and who is tied to one of them is seen nowhere else."""
    tied = {f"tied{cpu}": {"cpus": str(cpu), "extra": "for=4"} for cpu in range(2)}
    machine = {**TWO, "options": ["--ips=25000000"]}
    share = Share(tmp_path, TWO, sleeper={"extra": "sleep for=3"}, **tied, **{f"busy{i}": {"extra": "for=4"} for i in range(3)})
    share.start()
    for _ in range(2):
        listed = share.machine.run("vcpu-list", timeout=20)
        for cpu in range(2):
            match = re.search(rf"^tied{cpu} +\d+ +0 +(\S+) .* (\S+) / (\S+)$", listed, re.M)
            assert match and match[1] == str(cpu) and match[2] == str(cpu) and match[3] == "all", listed
    share.wait()
    match = share.said("sleeper", r"late (\d+) us of (\d+) naps, at most (\d+)")
    assert int(match[2]) > 200
    assert int(match[1]) <= 1000, match[0]


@pytest.mark.parametrize("host, seconds", [(ONE, 14), (TWO, 14)], ids=["one", "two"])
def test_many(tmp_path, host, seconds):
    """64 that are equal: nobody is left behind."""
    share = Share(tmp_path, host, **{f"d{i}": {"extra": f"for={seconds}"} for i in range(64)})
    share.start()
    done, together = share.progress(skip=4)
    assert together > seconds - 5
    assert min(done.values()) >= 0.9 * max(done.values()), done
