"""Every fuzz target for a few seconds, from a new seed each time; a failure prints the seed."""
import glob
import os
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TARGETS = sorted(os.path.basename(path)[:-2] for path in glob.glob(os.path.join(HERE, "fuzz_*.c")))


@pytest.mark.parametrize("name", TARGETS)
def test_fuzz(name, pytestconfig):
    binary = os.path.join(os.path.dirname(os.path.dirname(HERE)), pytestconfig.getoption("--build"), "fuzz", name)
    run = subprocess.run([binary, "5"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, errors="replace", timeout=60)
    assert run.returncode == 0, run.stdout
