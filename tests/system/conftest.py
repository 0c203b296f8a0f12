"""Fixtures for tests that drive machines. When a test failed, the console of every machine it had is shown."""
import pytest

import machine as driver
from machine import Machine, built, machines, make_archive


def pytest_configure(config):
    driver.BUILD = config.getoption("--build")


def pytest_collection_modifyitems(items):
    for item in items:
        if "machine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group(f"{item.module.__name__}-{item.callspec.params['vendor']}"))


@pytest.fixture(scope="module", params=["amd", "intel"])
def vendor(request):
    return request.param


@pytest.fixture(scope="module", name="machine")
def shared_machine(request, vendor, tmp_path_factory):
    """A machine at dom0's prompt for all tests of a module. The module's FILES are in the archive, its MACHINE says
    what is special about the machine."""
    archive = make_archive(tmp_path_factory.mktemp("archive"), request.module.FILES)
    with Machine(vendor, [built("dom0"), archive], **getattr(request.module, "MACHINE", {})) as started:
        yield started.boot()
    machines.remove(started)


@pytest.fixture(autouse=True)
def no_machine_left():
    """What a test started ends with the test; machines of fixtures with a wider scope were there before it."""
    before = list(machines)
    yield
    for left in [m for m in machines if m not in before]:
        left.close()
        machines.remove(left)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for running in machines:
            report.sections.append((f"console of the {running.vendor} machine", running.console()))
