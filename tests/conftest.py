"""One runner for all tests: `make test` is pytest over this folder.

Here: every cmocka test in tests/unit/test_*.c becomes an item, and the last line printed is `N passed, N failed`.
The machines that the other tests drive are in tests/system/."""
import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def pytest_addoption(parser):
    parser.addoption("--build", default="build", help="the build folder")


class UnitFile(pytest.File):
    def collect(self):
        binary = os.path.join(ROOT, self.config.getoption("--build"), "unit", self.path.stem)
        # Files with the same set-up for each test wrap cmocka's macro in one named TEST.
        code = re.sub(r"^#.*$", "", self.path.read_text(), flags=re.M)
        for name in re.findall(r"\b(?:cmocka_unit_test\w*|TEST)\(\s*(\w+)", code):
            yield UnitTest.from_parent(self, name=name, binary=binary)


class UnitTest(pytest.Item):
    def __init__(self, *, binary, **rest):
        super().__init__(**rest)
        self.binary = binary

    def runtest(self):
        environment = dict(os.environ, TEST=self.name, CMOCKA_MESSAGE_OUTPUT="TAP")
        run = subprocess.run([self.binary], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace", timeout=120)
        if run.returncode != 0 or not re.search(r"^ok ", run.stdout, re.M):
            pytest.fail(f"exit code {run.returncode}\n{run.stdout}", pytrace=False)

    def reportinfo(self):
        return self.path, None, f"{self.path.stem}: {self.name}"


def pytest_collect_file(parent, file_path):
    if file_path.suffix == ".c" and file_path.match("tests/unit/test_*.c"):
        return UnitFile.from_parent(parent, path=file_path)
    return None


def pytest_unconfigure(config):
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput") or config.option.collectonly:
        return
    count = {kind: len(reporter.stats.get(kind, [])) for kind in ("passed", "failed", "error", "skipped")}
    line = f"{count['passed']} passed, {count['failed'] + count['error']} failed"
    print(line + (f", {count['skipped']} skipped" if count["skipped"] else ""))
