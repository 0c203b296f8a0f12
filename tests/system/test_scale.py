"""Many small domains: all of them live and are reached, nothing of them stays, and each costs little memory. Machines with
many processors and much memory come up."""
import re

from machine import Machine, built, guest_config, make_archive

MOST_KIB = 48  # what the hypervisor may spend on an idle domain of 4 MiB
COUNT = 40


def archive(folder, count):
    names = [f"t{number}" for number in range(1, count + 1)]
    return make_archive(folder, {
        "tiny": built("guest/tiny"), "tiny.cfg": guest_config("tiny", "tiny", memory=4),
        "make": "".join(f"create -q tiny.cfg name={name} extra={name}\n" for name in names),
        "end": "".join(f"destroy {name}\n" for name in names)})


def live_and_die(machine, count):
    # Once for nothing: dom0's ports and page tables for so many are there from then on.
    assert machine.run("run make; run end", timeout=2 * count) == ""
    before = machine.free_kib()
    assert machine.run("run make", timeout=count) == ""
    lines = machine.run("list", timeout=20).splitlines()[2:]
    assert [line.split()[0] for line in lines] == [f"t{number}" for number in range(1, count + 1)]
    assert all(line.split()[2:4] == ["4", "1"] for line in lines)
    machine.until("list", r"^t\d+ .* r-----", wanted=False)  # all have come to rest
    for number in sorted({1, 2, count // 2, count}):
        machine.type(f"console t{number}")
        machine.wait(f"^tiny t{number}$")
        for _ in range(1000):  # the store may not have come to it yet
            machine.send("x")
            if machine.wait_match(r"^alive x, (\d+) bytes of the store's$")[1][1] != "0":
                break
        else:
            raise AssertionError(f"t{number} hears nothing from the store")
        machine.send("\x1d")
        machine.wait("^dom0# ")
    machine.send("\x01\x01\x01e\x01\x01\x01")
    machine.wait(r"d0: \d+ ports, FIFO")  # there are more ports than two levels have
    machine.wait("Serial input to DOM0.*\n")
    used = (before - machine.free_kib()) / count
    said = machine.run("info -v domain_overhead")
    average = int(re.match(r"(\d+) bytes for each", said)[1]) / 1024
    assert average <= MOST_KIB, said
    assert used <= 4096 + 3 * 4 + MOST_KIB
    assert machine.run("run end", timeout=count) == ""
    assert machine.free_kib(before) == before
    assert len(machine.run("list").splitlines()) == 2


def test_many_small_domains(tmp_path):
    with Machine(modules=[built("dom0"), archive(tmp_path, COUNT)]) as machine:
        live_and_die(machine.boot(), COUNT)


def test_many_processors_and_much_memory(tmp_path):
    with Machine(modules=[built("dom0"), archive(tmp_path, 1)], smp=16, mem=16384) as machine:
        machine.boot(60)
        assert machine.run("create -q tiny.cfg; destroy tiny", timeout=20) == ""
        assert machine.run("info nr_cpus") == "16"
        assert int(machine.run("info free_memory")) > 16000
