"""PCI in dom0: configuration space on both vendors, MSI and MSI-X with devices that QEMU has."""
import pytest

from machine import Machine, built

DEVICES = "-device edu -device e1000e -device virtio-rng-pci -device amd-iommu"


@pytest.mark.parametrize("vendor, words, smp, options", [
    ("amd", "devices", 2, ["--qemu", DEVICES]),
    ("intel", "", 1, []),
])
def test_pci(vendor, words, smp, options):
    with Machine(vendor, [f"{built('guest/pci')} {words}".strip()], smp=smp, options=["--once", *options]) as machine:
        output, match = machine.wait_match(r"^VERDICT pci: (.*)\n", timeout=40)
        assert match.group(1) == "PASS", output
        machine.wait_end()
