"""Guests' network cards, on each card that dom0 drives: the way out, the way to each other, and what a bridge without a card keeps in."""
import re

import pytest

from machine import Machine, built, guest_config, make_archive

CARDS = [("amd", "virtio"), ("amd", "e1000e"), ("amd", "e1000"), ("intel", "e1000")]


def config(name, words, vif, **keys):
    text = guest_config(name, "net", extra=words, **keys)
    return text + f"vif = [ '{vif}' ]\n"


FILES = {
    "net": built("guest/net"), "netbad": built("guest/netbad"),
    "ping.cfg": config("ping", "mode=ping count=3", ""),
    "send.cfg": config("send", "mode=stream send address=10.9.0.1 peer=10.9.0.2 seconds=1 queues=2 split", "bridge=inside"),
    "receive.cfg": config("receive", "mode=stream receive address=10.9.0.2 peer=10.9.0.1 queues=3", "bridge=inside"),
    "plain.cfg": config("plain", "mode=stream receive address=10.9.0.2 peer=10.9.0.1 no-gso no-sg no-checksum",
                        "bridge=inside"),
    "lost.cfg": config("lost", "mode=ping address=10.0.2.77 target=10.0.2.2 count=1", "bridge=inside"),
    "answer.cfg": config("answer", "mode=answer address=10.9.0.3", "bridge=inside"),
    "bad.cfg": guest_config("bad", "netbad", extra="address=10.9.0.4 target=10.9.0.3") + "vif = [ 'bridge=inside' ]\n",
}


def sent_to_the_wire(path):
    """Source addresses of the packets in a capture file."""
    with open(path, "rb") as file:
        data = file.read()[24:]
    sources = set()
    while data:
        size = int.from_bytes(data[8:12], "little")
        sources.add(data[16 + 6:16 + 12])
        data = data[16 + size:]
    return sources


@pytest.mark.parametrize("vendor,card", CARDS)
def test_way_out(vendor, card, tmp_path):
    """DHCP and pings of several sizes; afterwards nothing is left of the guest."""
    with Machine(vendor, [built("dom0"), make_archive(tmp_path, FILES)], options=["--nic", card]) as machine:
        machine.boot(60)
        assert re.search(rf"^eth0: {card}[a-z-]* .*, link up", machine.log, re.M)
        output = machine.run("create -c ping.cfg", timeout=40)
        assert "VERDICT net: PASS" in output and "3 of 3 answered" in output
        machine.until_gone("ping")
        ports = machine.run("bridge-list")
        assert "vif" not in ports, ports


@pytest.fixture(scope="module")
def inside(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inside")
    capture = folder / "wire.pcap"
    with Machine("amd", [built("dom0"), make_archive(folder, FILES)],
                 options=["--nic", "virtio", f"--qemu=-object filter-dump,id=wire,netdev=net0,file={capture}"]) as machine:
        machine.capture = capture
        machine.boot()
        assert machine.run("bridge-create inside") == ""
        yield machine


@pytest.mark.parametrize("receiver", ["receive", "plain"])
def test_two_guests(inside, receiver):
    """A stream whose every byte is checked, in large packets and, to a guest that takes none, in small ones."""
    inside.run(f"create {receiver}.cfg")
    output = inside.run("create -c send.cfg", timeout=40)
    assert "VERDICT net: PASS" in output, output
    inside.until_gone(receiver)
    output = inside.run(f"console {receiver}")
    assert "VERDICT net: PASS" in output, output
    large = int(re.search(r"(\d+) large", output)[1])
    assert (large > 0) == (receiver == "receive"), output


def test_nothing_leaves(inside):
    """A bridge without a card: a guest that asks for the user network is heard by its bridge and nobody else."""
    inside.run("create lost.cfg")
    ports = inside.until("bridge-list -v", r"vif\d+\.0 +received [1-9]")
    inside.run("destroy lost")
    assert re.search(r"eth0 .* sent 0 packets", ports), ports
    assert not [source for source in sent_to_the_wire(inside.capture) if source.startswith(b"\x00\x16\x3e")]


def test_misuse(inside):
    """What a frontend can do wrong is answered, told once, and disturbs nobody."""
    inside.run("create answer.cfg")
    output = inside.run("create -c bad.cfg", timeout=120)
    assert "VERDICT netbad: PASS" in output, output
    inside.run("destroy answer")
