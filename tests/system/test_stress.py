"""Domains at random, for as long as SECONDS says, over a hypervisor that checks its locks and who owns what: then nothing is lost.

Each test prints its seed; SEED=number in the environment begins with the same again. Which of several processors comes first is
not the seed's to say, so a rare failure may need several runs of it."""
import os
import random
import re
import time

import pytest

from machine import Machine, built, guest_config, make_archive

SECONDS = float(os.environ.get("SECONDS") or 25)
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1, 1 << 31))
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
