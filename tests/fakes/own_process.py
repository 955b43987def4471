"""Tests that run in a process of their own: a driver that hangs in one, or a library that aborts, ends no other."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback

import pytest

FLAG = "TPOS_TEST_IN_OWN_PROCESS"
SKIPPED = 77


def in_own_process() -> bool:
    """Whether this is the process of one test: only there its fixtures have to be real."""
    return FLAG in os.environ


def run(item: pytest.Function) -> bool:
    """For `pytest_pyfunc_call`: run a test in a process of its own, which is left at once when the test is over.

    Fixtures are not ended there; those that have a `clean` are cleaned.
    """
    if in_own_process():
        status = 0
        try:
            item.obj(**{name: item.funcargs[name] for name in item._fixtureinfo.argnames})
        except pytest.skip.Exception as skipped:
            print(skipped)
            status = SKIPPED
        except BaseException:
            traceback.print_exc()
            status = 1
        for fixture in item.funcargs.values():
            if hasattr(fixture, "clean"):
                fixture.clean()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    plugins = ["-p", "no:cacheprovider", "-p", "pytest_timeout"]
    command = [sys.executable, "-m", "pytest", "-q", "-s", *plugins, item.nodeid]
    # Other plugins that happen to be installed would take seconds of each test.
    environment = os.environ | {FLAG: "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        command, cwd=item.config.rootpath, env=environment, capture_output=True, text=True, timeout=170
    )
    if done.returncode == SKIPPED:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    if done.returncode:
        pytest.fail(f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}", pytrace=False)
    return True
