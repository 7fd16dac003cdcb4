"""`vmcfg`: finds the command, runs it, and turns whatever goes wrong into one message and one exit code."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

import vmcfg
from vmcfg.cli import (
    accept,
    bench,
    check,
    completion,
    curve,
    docs,
    explain,
    new,
    plan,
    run,
    scenarios,
    schema,
    trace,
    trace_info,
    validate,
)
from vmcfg.errors import RunFailed, UsageError, VmcfgError

COMMANDS: tuple[ModuleType, ...] = (
    new, validate, plan, run, check, accept, scenarios, explain, trace, trace_info, curve, schema, docs, completion,
    bench,
)  # fmt: skip

INTERRUPTED = 130  # as a shell reports SIGINT
BROKEN_PIPE = 141  # as a shell reports SIGPIPE

DESCRIPTION = """Scenarios of virtualized x86 memory: validated, compiled, simulated page by page and compared with
golden tables. `vmcfg COMMAND --help` has examples."""

EXIT_CODES = """exit codes:
  0    fine, nothing differs
  1    a result differs from its golden, or a claim failed
  2    the command line is wrong
  3    a scenario is not valid
  4    a run failed
  5    nothing matched the selection
  130  interrupted"""

RARELY = 100_000  # objects made between two looks for garbage


def entry() -> NoReturn:
    """The console script. Few of its objects form cycles: to look for these at the usual rate is 5 % of `validate`."""
    gc.set_threshold(RARELY)
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code and never raises, except what VMCFG_DEBUG asks to see."""
    _print_what_the_terminal_can()
    try:
        if not arguments:
            parser().print_help(sys.stderr)
            return UsageError.exit_code
        parsed = parser(arguments[0]).parse_args(arguments)
        code: int = parsed.execute(parsed)
        sys.stdout.flush()
        return code
    except SystemExit as exit_:  # argparse has printed help or a usage error
        return exit_.code if isinstance(exit_.code, int) else 2
    except VmcfgError as error:
        print(_message(error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        _forget_standard_output()
        return BROKEN_PIPE
    except MemoryError:
        print("vmcfg: error: out of memory; `vmcfg plan` shows what a run may need", file=sys.stderr)
        return RunFailed.exit_code
    except Exception as error:
        return _internal(error)


def parser(command_name: str = "") -> argparse.ArgumentParser:
    """Return the parser of the whole command line; of one that begins with a command, without the other commands.

    Each takes a quarter of a millisecond.
    """
    whole = argparse.ArgumentParser(
        "vmcfg", description=DESCRIPTION, epilog=EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    whole.add_argument("--version", action="version", version=f"vmcfg {vmcfg.__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True, title="commands")
    named = {command.NAME: command for command in COMMANDS}
    for command in [named[command_name]] if command_name in named else COMMANDS:
        part = commands.add_parser(
            command.NAME,
            help=command.HELP,
            description=command.__doc__,
            epilog=f"examples:\n{command.EXAMPLES.rstrip()}\n\n{EXIT_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(part)
        part.set_defaults(execute=command.execute)
    return whole


def _message(error: VmcfgError) -> str:
    """A report of faults begins with the place in the file, which editors know; anything else with our name."""
    return str(error) if error.exit_code == 3 else f"vmcfg: error: {error}"


def _interrupted() -> int:
    """Whoever presses the keys twice gets no traceback from an exit that is already under way."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("vmcfg: interrupted", file=sys.stderr)
    return INTERRUPTED


def _internal(error: Exception) -> int:
    if os.environ.get("VMCFG_DEBUG"):
        raise error
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    print(f"vmcfg: internal error: {what} (set VMCFG_DEBUG=1 to see where; please report it)", file=sys.stderr)
    return RunFailed.exit_code


def _print_what_the_terminal_can() -> None:
    """A title may hold any letter; one that the terminal's encoding lacks becomes a question mark, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _forget_standard_output() -> None:
    """Whoever read our output is gone; without this, Python would complain at exit that it cannot flush."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
