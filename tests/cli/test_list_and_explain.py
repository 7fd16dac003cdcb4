"""list and explain: finding one's way."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from vmcfg import resources
from vmcfg.terms import TERMS

Command = Callable[..., tuple[int, str, str]]


def test_list_shows_titles_and_tags(vmcfg: Command, project: Path) -> None:
    """Paths as one would type them; one that is not valid is listed as such."""
    Path("scenarios/broken.yaml").write_text("kind: nothing")
    expected = """\
scenarios/broken.yaml       (not valid; see vmcfg validate scenarios/broken.yaml)
scenarios/more/native.yaml  A small one
scenarios/small.yaml        A small one
"""
    assert (0, expected, "") == vmcfg("list")


def test_list_shows_what_is_shipped_elsewhere(vmcfg: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of a project, what `vmcfg run NAME` can run."""
    monkeypatch.chdir(tmp_path)
    assert any(line.startswith("quickstart ") for line in vmcfg("list")[1].splitlines())


def test_list_shows_processors(vmcfg: Command) -> None:
    """Each with what it can do, and how many of its figures nobody printed."""
    lines = vmcfg("list", "profiles")[1].splitlines()
    assert ["profile", "assumed", "features", "processor"] == lines[0].split()
    assert ["profile", *resources.profile_names()] == [line.split()[0] for line in lines]
    merom = next(line for line in lines if line.startswith("merom"))
    assert ["merom", "26 of 47", "none", "Intel Merom (2006), as in Core 2 Duo"] == re.split(" {2,}", merom)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("nested walk", "nested walk: A page walk in which each guest table's address is translated too"),
        ("tlb", "TLB: Translation lookaside buffer"),
        ("exits", "table exits: Why the VMM got control"),
        ("walk_refs", "column walk_refs of table translation (references): References of those walks"),
    ],
)
def test_a_word_is_explained(vmcfg: Command, words: str, expected: str) -> None:
    """Terms, tables and columns, the first whatever their case."""
    code, out, _ = vmcfg("explain", *words.split())
    assert (0, True) == (code, out.startswith(expected))


def test_an_unknown_word_gets_the_nearest(vmcfg: Command) -> None:
    """Exit code 5: nothing was found."""
    assert (5, "", "vmcfg: error: found no term, table or column 'quantm'; did you mean 'quantum'?\n") == (
        vmcfg("explain", "quantm")
    )


def test_all_words_are_listed_without_one(vmcfg: Command) -> None:
    """The glossary, then where the columns are."""
    lines = vmcfg("explain")[1].splitlines()
    assert list(TERMS) == [line.split(": ")[0] for line in lines[: len(TERMS)]]
    assert "`vmcfg explain TABLE`" in lines[-1]


@pytest.mark.parametrize("word", TERMS)
def test_terms_are_defined_in_a_sentence(word: str) -> None:
    """It begins like one and ends like one."""
    assert re.match(r"[A-Z`].*\.$", TERMS[word])
