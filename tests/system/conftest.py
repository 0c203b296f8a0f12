"""Shows the console of every running machine when a test failed, and keeps tests that share a machine together."""
import pytest

import machine


def pytest_configure(config):
    machine.BUILD = config.getoption("--build")


def pytest_collection_modifyitems(items):
    for item in items:
        group = getattr(item, "callspec", None)
        shared = [str(value) for name, value in sorted(group.params.items()) if name == "vendor"] if group else []
        if "shared" in item.keywords or "machine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("-".join([item.module.__name__] + shared)))


@pytest.fixture(autouse=True)
def no_machine_left():
    """What a test started ends with the test; machines of fixtures with a wider scope were there before it."""
    before = list(machine.machines)
    yield
    for left in [m for m in machine.machines if m not in before]:
        left.close()
        machine.machines.remove(left)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for running in machine.machines:
            report.sections.append((f"console of the {running.vendor} machine", running.console()))
