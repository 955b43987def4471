"""`tpos-live setup`: probes the machine, and installs, downloads and compiles what it needs, after one question
each."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence

import click

from tpos_live.bench.findings import print_findings
from tpos_live.cli.machine import Machine, probe_machine
from tpos_live.cli.machine_findings import machine_findings
from tpos_live.cli.setup_steps import Step, setup_steps

AGAIN = "run `tpos-live setup` again: it continues where it stopped"


@click.command()
@click.option("--yes", is_flag=True, help="Do all steps that need no administrator, without questions.")
def setup(yes: bool) -> int:
    """Install, download and compile what this machine needs, after one question each.

    Steps for an administrator are printed and never run. Without a terminal and without --yes, all steps are only
    printed.
    """

    def ask(step: Step) -> bool:
        return yes or (sys.stdin.isatty() and click.confirm("     do it now?", default=False))

    click.echo("looking at this machine …")
    return run_setup(ask, probe_machine, run_command)


def run_setup(ask: Callable[[Step], bool], probe: Callable[[], Machine], run: Callable[[Sequence[str]], int]) -> int:
    """Print what the machine has and needs, and do each step that `ask` agrees to.

    probe: probes the machine, again after each step. run: runs a command, returns its exit status. Returns 0, or 1 if
    the main job (image from sound) does not work, or a step failed.
    """
    machine = probe()
    fine = print_findings(machine_findings(machine))
    seen: set[str] = set()
    left: set[str] = set()
    while step := next((step for step in setup_steps(machine) if step.topic not in seen), None):
        if not seen:
            click.echo("\nto do:")
        seen.add(step.topic)
        _print(step)
        if step.needs in left:
            click.echo(f"     after {step.needs}")
            left.add(step.topic)
        elif not step.command or not ask(step):
            left.add(step.topic)
        elif run(step.command):
            click.echo(f"{step.topic} was not done; {AGAIN}", err=True)
            return 1
        else:
            machine = probe()
    click.echo(_last_line(fine, seen, left))
    return 0 if fine or seen - left else 1


def run_command(command: Sequence[str]) -> int:
    """Run a command with its output on this terminal; returns its exit status. pip resumes broken downloads itself."""
    try:
        return subprocess.run(list(command), env={**os.environ, "PIP_RESUME_RETRIES": "20"}, check=False).returncode
    except OSError as error:
        click.echo(str(error), err=True)
        return 1


def _print(step: Step) -> None:
    sizes = f" ({step.sizes})" if step.sizes else ""
    click.echo(f"  -  {step.topic:<12} {step.text}{sizes}")
    if step.command:
        click.echo(f"     {shlex.join(step.command) if os.name != 'nt' else subprocess.list2cmdline(step.command)}")


def _last_line(fine: bool, seen: set[str], left: set[str]) -> str:
    """The summary. fine: whether the main job works without the steps. seen, left: topics of all steps, and of those
    not done."""
    if left:
        return f"\nleft: {', '.join(sorted(left))}. `tpos-live demo` shows what runs now"
    if seen:
        return "\ndone: `tpos-live demo`"
    return "\neverything is there: `tpos-live demo`" if fine else "\nrepair what says NO above, and run it again"
