"""Every verb of dom0's shell, used wrongly: one line that says what is wrong, and no harm done."""
import re

import pytest

from machine import built, guest_config

FILES = {
    "kernel": built("guest/beacon"),
    "beacon.cfg": guest_config("beacon", "kernel"),
    "second.cfg": guest_config("second", "kernel"),
    "huge.cfg": guest_config("huge", "kernel", memory=999999),
    "unknown.cfg": guest_config("unknown", "kernel", memori=16),
    "nokernel.cfg": guest_config("nokernel", "not-there"),
    "noelf.cfg": guest_config("noelf", "noise"),
    "noramdisk.cfg": guest_config("noramdisk", "kernel", ramdisk="not-there"),
    "bigramdisk.cfg": guest_config("bigramdisk", "kernel", ramdisk="big", memory=17),
    "syntax.cfg": 'name = "syntax\nkernel = [\n',
    "action.cfg": guest_config("action", "kernel", on_crash="explode"),
    "noise": "this is no kernel\n" * 100,
    "script": "echo one; echo two\nnonsense\necho three\n",
}
WRONG = [
    ("create", r"usage|create"), ("create nothing", r"nothing"), ("create -x beacon", r"-x|usage"),
    ("create huge", r"huge\.cfg:\d+: memory=999999: .*free"), 
    ("create nokernel", r"not-there"), ("create noelf", r"noise.*(ELF|kernel)"), ("create noramdisk", r"not-there"),
    ("create bigramdisk", r"big"), ("create syntax", r"syntax\.cfg:1"), ("create action", r"action\.cfg:\d+: .*explode"),
    ("create beacon vcpus=0", r"vcpus"), ("create beacon vcpus=many", r"vcpus"),
    ("create beacon memory=-1", r"memory"), ("create beacon name=", r"name"),
    ("console", r"usage"), ("console nobody", r"nobody"), ("console 77", r"77"),
    ("pause", r"usage"), ("pause nobody", r"nobody"), ("pause 0", r"0"),
    ("unpause", r"usage"), ("unpause nobody", r"nobody"),
    ("destroy", r"usage"), ("destroy nobody", r"nobody"), ("destroy 0", r"0"), ("destroy 99999999999", r"9999"),
    ("shutdown", r"usage|name one"), ("shutdown nobody", r"nobody"), ("reboot", r"usage|name one"), ("reboot nobody", r"nobody"),
    ("rename", r"usage"), ("rename nobody new", r"nobody"), ("rename a", r"usage"),
    ("domid", r"usage"), ("domid nobody", r"nobody"), ("domname", r"usage"), ("domname 77", r"77"), ("domname x", r"x"),
    ("mem-max", r"usage"), ("mem-max nobody 10", r"nobody"), ("mem-max 0 much", r"much"),
    ("mem-set", r"usage"), ("mem-set nobody 10", r"nobody"), ("mem-set 0 64", r"not created here"),
    ("vcpu-set", r"usage"), ("vcpu-set nobody 1", r"nobody"), ("vcpu-set 0 1", r"not created here"),
    ("vcpu-list nobody", r"nobody"), ("uptime nobody", r"nobody"), ("list nobody", r"nobody"), ("list -z", r"-z|usage"),
    ("info nonsense", r"nonsense"), ("dmesg -z", r"-z|usage"), ("top -d 0", r"-d 0: a delay"), ("top -n x", r"-n x"), ("top -d", r"missing"), ("top 1", r"usage"), ("perf -z", r"-z|usage"), ("perf -r -f", r"-r"), ("perf nonsense", r"nonsense"),
    ("help nonsense", r"nonsense"),
    ("store-ls /nowhere", r"/nowhere"), ("store-read", r"usage"), ("store-read /nowhere", r"/nowhere"),
    ("store-write", r"usage"), ("store-write /x", r"usage"), ("store-rm", r"usage"), ("store-list /nowhere", r"/nowhere"),
    ("nonsense", r"no such command"), ("creat beacon", r"did you mean create"), ("run", r"usage"), ("run nothing", r"nothing"),
    ("cat", r"usage"), ("cat nothing", r"nothing"), ("ls nothing", r"nothing"), ("sleep", r"usage"), ("sleep soon", r"usage"),
    ("time", r"usage"), ("time nonsense", r"no such command"),
    ("echo 'open", r"(?i)quot"), ("poweroff now", r"usage"), ("restart now", r"usage"),
]


@pytest.fixture(scope="module", autouse=True)
def all_is_set_up(machine):
    """What the first domain makes once for all, such as page tables for dom0's view of others, is there."""
    machine.run("create beacon", timeout=20)
    machine.run("destroy beacon", timeout=20)


@pytest.fixture(autouse=True)
def nothing_is_left(machine):
    before = machine.free_kib()
    yield
    left = [line.split()[0] for line in machine.run("list").splitlines()[2:]]
    for name in left:
        machine.run(f"destroy {name}", timeout=20)
    assert left == []
    assert machine.free_kib(before) == before


@pytest.mark.parametrize("command, complaint", WRONG, ids=[command for command, _ in WRONG])
def test_wrong(machine, command, complaint):
    output = machine.run(command)
    assert re.search(complaint, output), output
    assert len(output.splitlines()) <= 3
    assert machine.run("echo $?") != "0"


def test_unknown_keys_are_named(machine):
    assert re.search(r"unknown\.cfg:\d+: memori.*did you mean memory", machine.run("create -n unknown"))
    assert "nonsense" in machine.run("create -n beacon nonsense=1")


def test_dry_run(machine):
    output = machine.run("create --dry-run beacon")
    assert "24" in output and "beacon" in output
    assert "beacon" not in machine.run("list")


def test_life_of_a_domain(machine):
    machine.run("create -p beacon", timeout=20)
    assert re.search(r"^beacon +\d+ +\d+ +1 +--p---", machine.run("list beacon"), re.M)
    machine.run("unpause beacon")
    machine.until("list beacon", r" (r-|-b)---- ")
    domid = machine.run("domid beacon")
    assert domid.isdigit() and machine.run(f"domname {domid}") == "beacon"
    assert re.search(rf"^beacon +{domid} +0 ", machine.run("vcpu-list beacon"), re.M)
    assert machine.run("store-read /local/domain/" + domid + "/name") == "beacon"
    assert "already" in machine.run("create beacon") or "beacon" in machine.run("create beacon")
    machine.run("rename beacon lantern")
    assert "lantern" in machine.run("list")
    machine.run("pause lantern")
    machine.run("unpause lantern")
    machine.run("mem-max lantern 30")
    machine.type("console lantern")
    machine.send("a")
    machine.wait("^alive a$")
    machine.send("\x1d")
    machine.wait("^dom0# ")
    machine.run("destroy lantern", timeout=20)


def test_counters(machine):
    def total(name):
        return int(re.search(rf"^{name} +T= *(\d+)$", machine.run(f"perf {name.split()[-1]}"), re.M)[1])

    machine.run("perf -r")
    machine.run("create beacon", timeout=20)
    machine.run("destroy beacon", timeout=20)
    for name in ("exits: hypercall", "hypercalls", "context switches", "event upcalls injected", "p2m flushes"):
        assert 0 < total(name) < 1e6, name
    output = machine.run("perf --full hypercalls")
    values = dict(re.findall(r"^    (\S+) +(\d+)$", output, re.M))
    assert int(values["domctl"]) > 5 and int(values["memory_op"]) > 5 and int(values["sysctl"]) > 5
    assert len(machine.run("perf").splitlines()) > 25
    machine.run("perf -r")
    assert total("exits: triple fault") == 0


def test_top(machine, vendor):
    machine.run("create beacon", timeout=20)
    pages = machine.run("top -b -d 0.3 -n 2", timeout=20).split("2 domains: ")[1:]
    assert len(pages) == 2
    for page in pages:
        assert re.search(r"^\d running, \d blocked, 0 paused\n1 CPUs: \d+\.\d% busy   Memory: \d+ MiB, \d+ free\n"
                         r"Exits/s: .*\bhypercall \d+", page), page
        assert re.search(r"^ +0 Domain-0 +r----- +\d+\.\d +\d+\.\d +\d+ r$", page, re.M), page
        assert re.search(r"^ +\d+ beacon +[-r][-b]---- +\d+\.\d +\d+\.\d +\d+ [rbw]$", page, re.M), page
        assert max(map(len, page.splitlines())) <= 80
    # Live: it goes on until it is told to stop, and takes no more than the screen.
    for leave, echo in (("q", ""), ("\x03", r"\^C\n")):
        machine.type("top -d 0.2")
        for _ in range(2):
            machine.wait(r"^ +0 Domain-0 .*\n")
        machine.send(leave)
        machine.wait(rf"{echo}\n?dom0# ")
    machine.run("destroy beacon", timeout=20)


def test_console_of_the_dead(machine):
    output = machine.run("create -p beacon", timeout=20)
    machine.run("unpause beacon")
    machine.send("console beacon\r")
    machine.wait("^beacon")
    machine.send("q")
    machine.wait("^dom0# ")
    machine.until_gone("beacon")
    assert "beacon" in machine.run("console beacon"), output


def test_script(machine):
    output = machine.run("run script")
    assert re.search(r"^one\ntwo\n.*no such command.*\nthree$", output, re.S)


def test_two_of_one_kind(machine):
    machine.run("create beacon", timeout=20)
    machine.run("create second", timeout=20)
    assert machine.run("domid beacon") != machine.run("domid second")
    machine.run("create beacon name=third", timeout=20)
    for name in ("beacon", "second", "third"):
        machine.run(f"destroy {name}", timeout=20)


def test_completion(machine):
    machine.send("creat\t")
    machine.wait("create ")
    machine.send("bea\t")
    machine.wait("beacon")
    machine.send("\x15")  # Ctrl-U
    assert machine.run("echo done") == "done"


def test_debug_keys(machine):
    """Ctrl-A three times: the keys go to the hypervisor, and back again."""
    machine.send("\x01\x01\x01")
    machine.wait("Serial input to (?!DOM0).*")
    machine.send("h")
    machine.wait("list the debug keys")
    for key, what in (("q", "domains and vCPUs"), ("e", "event channels"), ("g", "grants"), ("r", "run queues"),
                      ("m", "memory"), ("t", "timers"), ("d", "registers"), ("p", "performance counters"),
                      ("P", "performance counters set to zero")):
        machine.send(key)
        machine.wait(f"'{key}' pressed: .*{what}")
    machine.send("\x01\x01\x01")
    machine.wait("Serial input to DOM0")
    machine.send("\r")
    machine.wait("^dom0# ")
    assert machine.run("echo back") == "back"


def test_time_tells_work_from_waiting(machine):
    took, busy = map(int, re.search(r"^time: (\d+) ns, processors busy (\d+) ns", machine.run("time sleep 0.5"), re.M).groups())
    assert took >= 500_000_000 and 0 < busy < took // 2
