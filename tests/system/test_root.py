"""Debian with systemd on a disk of the machine, as `make run` has it: a login, the network, files that outlive their guest."""
import re

from machine import ROOT, Machine

IMAGE = ROOT + "/build/cache/rootfs/disk.img"
PROMPT = r"^root@debian:~# "


def login(machine, config, timeout=200):
    machine.send(f"create -c {config}\r")
    machine.wait("^debian login: ", timeout)
    machine.send("root\r")
    machine.wait(PROMPT, 60)
    machine.send("stty columns 300\r")  # long commands stay on one line
    machine.wait(PROMPT)


def inside(machine, command, timeout=30):
    machine.type(command)
    return machine.wait(PROMPT, timeout).strip()


def end(machine):
    machine.send("\x1d")
    machine.wait("^dom0# ")
    machine.run("destroy debian", timeout=20)


def found_again(machine):
    login(machine, "debian")
    assert re.search(r"^/dev/xvda1 on / type ext4 \(rw", inside(machine, "mount"), re.M)
    assert "0 loaded units" in inside(machine, "systemctl --failed")
    inside(machine, "until ip -4 -br a show enX0 | grep -q 10.0.2; do sleep 1; done", timeout=60)
    assert " 0% packet loss" in inside(machine, "ping -c 3 10.0.2.2")
    inside(machine, "cp -a /usr/share/zoneinfo /root/tree && cd /root/tree && find . -type f | sort | xargs sha256sum > ../sums;"
                    " cd; sync", timeout=120)
    kernel = inside(machine, "uname -r; grep -c . sums")
    end(machine)  # without being asked: what was synced is there, whatever else is not

    login(machine, "own-kernel")  # GRUB, and the kernel that stands on the disk
    assert inside(machine, "uname -r; grep -c . sums") == kernel
    assert inside(machine, "cd tree && sha256sum --quiet -c ../sums; echo $?; cd", timeout=120) == "0"
    machine.send("poweroff\r")
    machine.wait("^dom0# ", 60)
    machine.until_gone("debian")


def test_debian():
    with Machine("amd", options=["--nic", "virtio", "--disk", IMAGE + ",snapshot=on"]) as machine:
        machine.boot()
        found_again(machine)
