"""Domains at random, for as long as SECONDS says, over a hypervisor that checks its locks and who owns what: then nothing is lost.

Each test prints its seed: SEED=number in the environment, or always the same in `make test`, for what a change did shall be seen.
Which of several processors comes first is not the seed's to say, so a rare failure may need several runs of it."""
import os
import random
import re
import time

import pytest

from machine import Machine, built, guest_config, make_archive

SECONDS = float(os.environ.get("SECONDS") or 25)
SEED = int(os.environ.get("SEED") or 1)
CHURN_SECONDS = {"amd": max(1, round(SECONDS)), "intel": max(1, round(SECONDS / 25))}  # of the machine's time
CPUS = {"amd": 4, "intel": 2}  # Bochs is slow


@pytest.mark.parametrize("vendor", ["amd", "intel"])
def test_control_operations(vendor):
    """tests/guest/churn.c: the vCPUs of dom0 all at the same domains, without a pause."""
    seconds = CHURN_SECONDS[vendor]
    print(f"SEED={SEED}")
    with Machine(vendor, [f"{built('guest/churn')} seed={SEED} seconds={seconds}", built("guest/crowd")],
                 smp=CPUS[vendor], mem=256, dom0_mem="64M", debug=True, options=["--once"]) as machine:
        output, match = machine.wait_match("^VERDICT churn: (.*)\n", timeout=60 + 2 * seconds)
        print(re.search(r"^\d+ operations.*", output, re.M)[0])
        assert "DAMAGE" not in output
        assert match[1] == "PASS", output
        machine.wait_end()


# --- dom0's shell ----------------------------------------------------------------------------------------------------------

STAYS = ["disk", "left", "right"]  # they look after their own data till the end
GOES = ["beacon", "flood", "spin", "hold", "short", "lost"]
LONG = round(SECONDS) + 8  # they still run when the last command has been typed


def net(name, address, peer, words):
    return guest_config(name, "net", extra=f"mode=stream {words} address={address} peer={peer} seconds={LONG} seed={SEED}") \
        + "vif = [ 'bridge=inside' ]\n"


FILES = {
    **{kernel: built(f"guest/{kernel}") for kernel in ("beacon", "mischief", "blk", "net")},
    "disk.cfg": guest_config("disk", "blk", memory=32, vcpus=1, extra=f"seconds={LONG} region=4 queues=2 seed={SEED}")
    + 'disk = [ "r0,raw,xvda,rw" ]\n',
    "left.cfg": net("left", "10.9.0.1", "10.9.0.2", "send receive"),
    "right.cfg": net("right", "10.9.0.2", "10.9.0.1", "send receive queues=2"),
    "beacon.cfg": guest_config("beacon", "beacon", vcpus=2),
    **{f"{name}.cfg": guest_config(name, "mischief", extra=name) for name in ("flood", "spin", "hold")},
    "short.cfg": guest_config("short", "blk", memory=32, extra="seconds=1 region=2") + 'disk = [ "r1,raw,xvda,rw" ]\n',
    "lost.cfg": guest_config("lost", "net", extra="mode=ping address=10.9.0.9 target=10.9.0.8") + "vif = [ 'bridge=inside' ]\n",
}
# What may be done to all, and what to those only that need not come to a good end. {} is the domain.
GENTLE = ["pause {0}; unpause {0}", "vcpu-list {0}", "list -v {0}", "store-ls -p", "network-list {0}", "block-list {0}",
          "vcpu-pin {0} all {cpus}", "sched-credit2 -d {0} -w {weight}", "bridge-list -v", "mem-max {0} {more}"]
ROUGH = ["create -q {0}", "create -q {0}", "create -q -p {0}; unpause {0}", "destroy {0}", "shutdown {0}", "pause {0}", "unpause {0}",
         "mem-set {0} {less}", "mem-max {0} {less}", "block-attach {0} r2,raw,xvdb,rw", "block-detach -f {0} xvdb",
         "network-attach {0} bridge=inside", "network-detach -f {0} 0", "network-detach {0} 0", "vcpu-set {0} 1", "reboot {0}"]


def some_command(choose, verbs):
    gentle = choose.random() < 0.4
    command = choose.choice([c for c in (GENTLE if gentle else ROUGH) if c.split()[0] in verbs])
    cpus = choose.choice(["all", "0", "1-2", "3", "0,2", "^0"])
    return command.format(choose.choice(STAYS + GOES if gentle else GOES), cpus=cpus, weight=choose.choice([128, 256, 512]),
                          more=choose.randrange(40, 60), less=choose.randrange(8, 30))


def press(machine, keys):
    """What the debug keys print, for dom0 at its prompt."""
    machine.send("\x01\x01\x01" + keys + "\x01\x01\x01")
    output = machine.wait("Serial input to DOM0.*\n")
    machine.run("")
    return output


def accounts(machine):
    """Free memory and what dom0 has of the hypervisor's, whose tables grow with use and stay; then dom0's ports."""
    machine.run("sleep 0.5")
    output = press(machine, "qgem")
    tables = int(re.search(r"d0: .*, p2m tables (\d+)", output)[1]) + int(re.search(r"d0: .* frames, (\d+) handles", output)[1]) // 256
    ports = re.search(r"d0: (\d+) ports", output)[1]
    grants = re.findall(r"grant \d+: .*", output)
    return int(re.search(r"(\d+) KiB free", output)[1]) + 4 * tables, ports, grants


def only_stay(machine):
    for name in GOES:
        machine.run(f"destroy {name}", timeout=30)
        machine.until_gone(name, timeout=30)


def test_shell(tmp_path):
    """Every verb, at random, on guests good and bad, while others check what they write to a disk and send to each other."""
    choose = random.Random(SEED)
    print(f"SEED={SEED}")
    with Machine("amd", [built("dom0"), make_archive(tmp_path, FILES)], smp=4, dom0_mem="192M", debug=True) as machine:
        machine.boot()
        verbs = set(re.findall(r"^ *([a-z0-9-]+)", machine.run("help"), re.M))
        for command in ("bridge-create inside", *(f"ramdisk-create r{i} 8" for i in range(3))):
            assert machine.run(command) == ""
        for name in GOES + STAYS:  # what is made once for all is there afterwards
            machine.run(f"create -q {name}", timeout=30)
        machine.run("sleep 1")
        for name in GOES + STAYS:
            machine.run(f"destroy {name}", timeout=30)
            machine.until_gone(name, timeout=30)
        before = accounts(machine)

        for name in STAYS:
            assert machine.run(f"create -q {name}", timeout=30) == ""
        done, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            command = some_command(choose, verbs)
            print(command)
            machine.run(command, timeout=60)
            done += 1
        print(f"{done} commands")
        only_stay(machine)
        for name, verdict in zip(STAYS, ("blk", "net", "net")):
            machine.run(f"unpause {name}")
            machine.until_gone(name, timeout=4 * LONG)
            output = machine.run(f"console {name}")
            assert f"VERDICT {verdict}: PASS" in output, output
        assert len(machine.run("list").splitlines()) == 2
        for _ in range(10):  # what the dead had may take a while to come back on a busy computer
            after = accounts(machine)
            if after == before:
                break
        assert after == before
