"""What helps a newcomer: a scenario to begin with, the language, the pages, and completion."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmcfg import resources
from vmcfg.cli.main import COMMANDS
from vmcfg.scenario import schema

Command = Callable[..., tuple[int, str, str]]
NAMES = [command.NAME for command in COMMANDS]


def test_a_new_scenario_runs_and_its_claims_hold(vmcfg: Command, tmp_path: Path) -> None:
    """What newcomers are given works as it is."""
    path = tmp_path / "mine.yaml"
    assert (0, f"{path}: try `vmcfg run {path}`\n", "") == vmcfg("new", path)
    assert 0 == vmcfg("validate", path)[0]
    code, out, err = vmcfg("run", path, "--set", "run.accesses=10k")
    assert (0, "", 2) == (code, err, out.count("holds"))


def test_new_overwrites_nothing(vmcfg: Command, tmp_path: Path) -> None:
    """Exit code 2; a dangling link is something too."""
    path = tmp_path / "mine.yaml"
    path.write_text("precious")
    link = tmp_path / "link.yaml"
    link.symlink_to("nowhere")
    for name in (path, link):
        code, _, err = vmcfg("new", name)
        assert (2, f"vmcfg: error: {name}: found something there already, expected a new name\n") == (code, err)
    assert "precious" == path.read_text()


def test_new_without_a_name_prints(vmcfg: Command) -> None:
    """For a pipe, or for reading."""
    assert (0, resources.starter(), "") == vmcfg("new")


@pytest.mark.parametrize("subject", resources.schema_names())
def test_a_schema_is_printed_as_it_is(vmcfg: Command, subject: str) -> None:
    """JSON for editors and tools."""
    code, out, _ = vmcfg("schema", subject, "--format", "json")
    assert (0, f"{subject}.schema.json") == (code, json.loads(out)["$id"])


def test_the_reference_has_every_key_that_a_scenario_can_have(vmcfg: Command) -> None:
    """It is made of the schemas; nothing is left out on the way."""
    code, out, _ = vmcfg("schema")
    words = set(re.findall(r"`([A-Za-z_0-9]+)`", out))
    keys = {key for name in resources.schema_names() if name != "profile" for key in _keys(schema.load(name))}
    assert (0, set()) == (code, keys - words)


def test_a_part_of_the_reference_looks_like_this(vmcfg: Command) -> None:
    """A heading, what it is about, a table of keys, and what is not built yet, by name."""
    lines = vmcfg("schema", "mmu")[1].splitlines()
    assert "## MMU" == lines[0]
    assert "| key | value | default | meaning |" == lines[4]
    assert lines[6].startswith("| `mode` | `native` `nested` `shadow` `paravirt` `software_tlb` | required | ")
    assert "Not built yet: `data_accesses`." in vmcfg("schema", "cpu")[1].splitlines()


def test_links_of_the_reference_lead_somewhere(vmcfg: Command) -> None:
    """Each has its heading."""
    out = vmcfg("schema")[1]
    headings = {line.lstrip("# ").lower().replace(" ", "-") for line in out.splitlines() if line.startswith("#")}
    assert set() == set(re.findall(r"\]\(#([^)]+)\)", out)) - headings


def test_the_pages_are_listed_and_printed(vmcfg: Command) -> None:
    """The files of the package, found by their names."""
    listed = vmcfg("docs")[1].splitlines()
    assert {"architecture", "claims", "semantics"} <= resources.pages().keys()
    assert [line.split()[0] for line in listed] == list(resources.pages())
    assert (0, resources.pages()["semantics"], "") == vmcfg("docs", "semantics")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["docs", "semantic"], "found no topic 'semantic'; did you mean 'semantics'?"),
        (["schema", "hosts"], "found no schema 'hosts'; did you mean 'host'?"),
    ],
)
def test_an_unknown_subject_gets_the_nearest(vmcfg: Command, words: list[str], message: str) -> None:
    """Exit code 5: nothing was found."""
    assert (5, "", f"vmcfg: error: {message}\n") == vmcfg(*words)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["va"], ["validate"]),
        ([""], [*NAMES, "--help", "--version"]),
        (["run", "--comp"], ["--compare"]),
        (["run", "--format", ""], ["table", "json", "csv", "markdown"]),
        (["docs", "sem"], ["semantics"]),
        (["completion", "z"], ["zsh"]),
        (["run", "mi"], ["mine.yaml"]),
    ],
)
def test_bash_completes(vmcfg: Command, tmp_path: Path, typed: list[str], expected: list[str]) -> None:
    """Commands, options, their values, and files: asked of bash itself."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    (tmp_path / "mine.yaml").touch()
    script = vmcfg("completion", "bash")[1]
    ask = '\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vmcfg; printf "%s\\n" "${COMPREPLY[@]}"'
    command = [bash, "--norc", "-c", script + ask, "bash", "vmcfg", *typed]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert (expected, "") == (ran.stdout.split(), ran.stderr)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_script(vmcfg: Command, shell: str) -> None:
    """Every command and option is in it; the shell itself finds no fault, where there is one."""
    code, out, _ = vmcfg("completion", shell)
    assert (0, []) == (code, [name for name in NAMES if name not in out])
    assert "invariants" in out
    found = shutil.which(shell)
    if found:
        subprocess.run([found, "-n"], input=out, text=True, check=True)


def _keys(described: object) -> set[str]:
    """Every key that a schema describes and that is built, but those of conditions."""
    if isinstance(described, list):
        return {key for item in described for key in _keys(item)}
    if not isinstance(described, dict):
        return set()
    own = described.get("properties", {})
    built = {name for name, part in own.items() if not (isinstance(part, dict) and part.get("x-planned") is True)}
    passed_over = ("if", "examples", "default", "enum", "properties")
    inside = [part for word, part in described.items() if word not in passed_over]
    return {*built, *(key for part in [*inside, *own.values()] for key in _keys(part))}
