"""Whatever happens, a command ends with one message and one exit code, and never with a traceback."""

from __future__ import annotations

import functools
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from vmcfg.cli import validate
from vmcfg.cli.main import main
from vmcfg.errors import RunFailed
from vmcfg.files import write_texts

Command = Callable[..., tuple[int, str, str]]
VMCFG = [sys.executable, "-m", "vmcfg"]


@pytest.mark.parametrize("arguments", [[], ["chekc"], ["run"], ["run", "a", "b"], ["run", "a", "--format", "xml"]])
def test_a_wrong_command_line_is_exit_code_2(vmcfg: Command, arguments: list[str]) -> None:
    """The parser says what it expected."""
    code, out, err = vmcfg(*arguments)
    assert (2, "") == (code, out)
    assert err.startswith("usage: vmcfg")


def test_a_pipe_in_place_of_a_scenario_is_not_waited_for(vmcfg: Command, tmp_path: Path) -> None:
    """Nobody writes to it; the one that a shell lends for `vmcfg validate <(…)` has its writer, and is read."""
    os.mkfifo(tmp_path / "pipe")
    code, _, err = vmcfg("validate", tmp_path / "pipe")
    assert (3, f"{tmp_path}/pipe:1:1: error: found a pipe, expected a scenario\n1 error\n") == (code, err)
    ran = subprocess.run([*VMCFG, "validate", "/dev/stdin"], input=b"{}", capture_output=True)
    assert ran.stderr.startswith(b"/dev/stdin:1:1: error: found no 'apiVersion', expected one\n")


def test_an_unexpected_error_is_one_line(vmcfg: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what it was and how to see more; VMCFG_DEBUG raises it."""
    monkeypatch.setattr(validate, "_validate", _raise(ZeroDivisionError("by\nnothing")))
    monkeypatch.delenv("VMCFG_DEBUG", raising=False)
    line = "vmcfg: internal error: ZeroDivisionError: by (set VMCFG_DEBUG=1 to see where; please report it)\n"
    assert (4, "", line) == vmcfg("validate", "x.yaml")
    monkeypatch.setenv("VMCFG_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["validate", "x.yaml"])


def test_an_interruption_is_exit_code_130(vmcfg: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell reports it, with one word on standard error."""
    monkeypatch.setattr(signal, "signal", lambda number, action: None)  # or this very process could not be stopped
    monkeypatch.setattr(validate, "_validate", _raise(KeyboardInterrupt()))
    assert (130, "", "vmcfg: interrupted\n") == vmcfg("validate", "x.yaml")


def test_a_reader_that_leaves_early_is_no_error_to_talk_about(project: Path) -> None:
    """`vmcfg plan … | head -1` prints nothing on standard error."""
    plan = subprocess.Popen([*VMCFG, "plan", "scenarios/small.yaml"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert plan.stdout is not None and plan.stderr is not None
    plan.stdout.close()
    assert (141, b"") == (plan.wait(), plan.stderr.read())
    plan.stderr.close()


def test_a_terminal_without_unicode_still_gets_its_tables(project: Path) -> None:
    """A letter that the encoding lacks becomes a question mark."""
    path = Path("scenarios/small.yaml")
    path.write_text(path.read_text("utf-8").replace("A small one", "Größe → Ω"), "utf-8")
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    ran = subprocess.run([*VMCFG, "list"], capture_output=True, env=environment, check=True)
    assert b"scenarios/small.yaml        Gr??e ? ?\n" in ran.stdout


def test_a_short_run_shows_no_progress_bar(project: Path) -> None:
    """On a terminal a bar appears only after a second; in a pipe never."""
    watched, end = pty.openpty()
    subprocess.run([*VMCFG, "run", "scenarios/small.yaml"], stdout=subprocess.DEVNULL, stderr=end, check=True)
    os.close(end)
    assert b"%" not in _read_all(watched)
    ran = subprocess.run([*VMCFG, "run", "scenarios/small.yaml"], capture_output=True, check=True)
    assert b"" == ran.stderr


def test_a_long_run_shows_progress_on_a_terminal(project: Path) -> None:
    """And can be interrupted: exit code 130, no traceback."""
    watched, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    long = [*VMCFG, "run", "scenarios/small.yaml", "--set", "run={duration: 30s, epoch: 10ms}"]
    # A gate that a shell has put into the background ignores interrupts, and so would what it starts.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    run = subprocess.Popen(long, stdout=subprocess.DEVNULL, stderr=end, preexec_fn=heed)
    os.close(end)
    seen = b""
    while b"small:" not in seen:
        seen += os.read(watched, 4096)
    run.send_signal(signal.SIGINT)
    run.send_signal(signal.SIGINT)
    seen += _read_all(watched)
    assert 130 == run.wait(timeout=30)
    assert b"small:" in seen and b"vmcfg: interrupted" in seen and b"Traceback" not in seen


def test_files_are_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the second of two files cannot be written, the first is not put in place, and nothing is left over."""
    (tmp_path / "one").write_text("old")
    real = os.fsync
    calls = iter([real, _raise(OSError(28, "No space left on device"))])
    monkeypatch.setattr(os, "fsync", lambda descriptor: next(calls)(descriptor))
    with pytest.raises(RunFailed, match="cannot be written: no space left on device"):
        write_texts(tmp_path, {"one": "new", "two": "new"})
    assert [("one", "old")] == [(path.name, path.read_text()) for path in tmp_path.iterdir()]


def _raise(error: BaseException) -> Callable[..., None]:
    def raising(*_: object) -> None:
        raise error

    return raising


def _read_all(descriptor: int) -> bytes:
    """Read a terminal until the other end has closed it."""
    text = b""
    while True:
        try:
            part = os.read(descriptor, 4096)
        except OSError:
            part = b""
        if not part:
            os.close(descriptor)
            return text
        text += part
