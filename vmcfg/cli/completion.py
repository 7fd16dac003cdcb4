"""Print a completion script for a shell, made from the commands' own options.

    bash    source <(vmcfg completion bash)
    zsh     vmcfg completion zsh > "${fpath[1]}/_vmcfg"
    fish    vmcfg completion fish > ~/.config/fish/completions/vmcfg.fish

The script is static: completing a word starts no Python."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from vmcfg import resources

NAME = "completion"
HELP = "print a completion script for bash, zsh or fish"
EXAMPLES = """  vmcfg completion bash > ~/.local/share/bash-completion/completions/vmcfg
  vmcfg completion zsh
  vmcfg completion fish
"""


class Command(NamedTuple):
    """What can be completed of a command: its options, and the words that may stand in place of a file."""

    name: str
    help: str
    options: list[argparse.Action]
    words: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=tuple(SHELLS), help="the shell to complete in")


def execute(arguments: argparse.Namespace) -> int:
    print("\n".join(SHELLS[arguments.shell](list(_commands()))))
    return 0


def _bash(commands: Sequence[Command]) -> Iterator[str]:
    yield "_vmcfg() {"
    yield '  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=""'
    yield "  if ((COMP_CWORD == 1)); then"
    names = " ".join(command.name for command in commands)
    yield f'    COMPREPLY=($(compgen -W "{names} --help --version" -- "$word")); return'
    yield "  fi"
    yield '  case "$command $before" in'
    for command in commands:
        for option in (each for each in command.options if each.choices):
            cases = "|".join(f'"{command.name} {string}"' for string in option.option_strings)
            yield f'    {cases}) COMPREPLY=($(compgen -W "{_values(option)}" -- "$word")); return ;;'
    yield "  esac"
    yield "  case $command in"
    for command in commands:
        strings = [string for option in command.options for string in option.option_strings]
        yield f'    {command.name}) words="{" ".join([*strings, *command.words])}" ;;'
    yield "  esac"
    yield '  COMPREPLY=($(compgen -W "$words" -- "$word") $([[ $word == -* ]] || compgen -f -- "$word"))'
    yield "}"
    yield "complete -o filenames -F _vmcfg vmcfg"


def _zsh(commands: Sequence[Command]) -> Iterator[str]:
    yield "#compdef vmcfg"
    yield "_vmcfg() {"
    yield "  if ((CURRENT == 2)); then"
    yield "    local -a commands=("
    yield from (f"      {_quoted(f'{command.name}:{command.help}')}" for command in commands)
    yield "    )"
    yield "    _describe command commands; return"
    yield "  fi"
    yield "  local command=$words[2]"
    yield "  shift words; ((CURRENT--))"
    yield "  case $command in"
    for command in commands:
        specs = [_zsh_option(option) for option in command.options]
        specs.append(_quoted(f"*:argument:({' '.join(command.words)})" if command.words else "*:file:_files"))
        yield f"    {command.name}) _arguments {' '.join(specs)} ;;"
    yield "  esac"
    yield "}"
    yield 'if [[ $funcstack[1] == _vmcfg ]]; then _vmcfg "$@"; else compdef _vmcfg vmcfg; fi'


def _zsh_option(option: argparse.Action) -> str:
    text = _help(option).replace("[", "(").replace("]", ")")
    value = "" if option.nargs == 0 else f":value:({_values(option)})" if option.choices else ":value:_files"
    return " ".join(_quoted(f"*{string}[{text}]{value}") for string in option.option_strings)


def _fish(commands: Sequence[Command]) -> Iterator[str]:
    for command in commands:
        yield f"complete -c vmcfg -n __fish_use_subcommand -f -a {command.name} -d {_quoted(command.help)}"
    for command in commands:
        here = f"complete -c vmcfg -n '__fish_seen_subcommand_from {command.name}'"
        for option in command.options:
            name = option.option_strings[-1].lstrip("-")
            value = "" if option.nargs == 0 else f" -x -a {_quoted(_values(option))}" if option.choices else " -r"
            yield f"{here} -l {name}{value} -d {_quoted(_help(option))}"
        if command.words:
            yield f"{here} -f -a {_quoted(' '.join(command.words))}"


SHELLS: dict[str, Callable[[Sequence[Command]], Iterator[str]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}

TOPICS: dict[str, Callable[[], list[str]]] = {
    "schema": resources.schema_names,
    "docs": lambda: list(resources.pages()),
}
"""Commands whose argument is one of what is shipped."""


def _commands() -> Iterator[Command]:
    from vmcfg.cli.main import COMMANDS

    for module in COMMANDS:
        parser = argparse.ArgumentParser(module.NAME)
        module.add_arguments(parser)
        options = [action for action in parser._actions if action.option_strings]  # there is no public way to ask
        choices = [str(word) for action in parser._actions if action not in options for word in action.choices or ()]
        yield Command(module.NAME, module.HELP, options, TOPICS[module.NAME]() if module.NAME in TOPICS else choices)


def _values(option: argparse.Action) -> str:
    return " ".join(map(str, option.choices or ()))


def _help(option: argparse.Action) -> str:
    return (option.help or "").replace("%%", "%")


def _quoted(text: str) -> str:
    """In single quotes, which all three shells take literally, but for the quote itself."""
    return "'" + text.replace("'", "’") + "'"
