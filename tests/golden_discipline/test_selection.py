"""Which scenarios a word, a path or nothing at all means."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_results import ONE_PHASE

from vmcfg.errors import NothingSelected, UsageError
from vmcfg.golden.project import Project, find
from vmcfg.golden.selection import select

TAGGED = ONE_PHASE.replace("{title: Made by hand}", "{title: Made by hand, tags: [%s]}")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Four scenarios: a plain one, one tagged tlb, a long one, and one that is not valid."""
    for name, text in {
        "plain": ONE_PHASE,
        "walks/tagged": TAGGED % "tlb",
        "walks/long_one": TAGGED % "tlb, long",
        "walks/broken": "kind: nothing",
    }.items():
        path = tmp_path / "scenarios" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return Project(tmp_path)


def _names(project: Project, paths: tuple[str, ...] = (), *words: str, without: tuple[str, ...] = ()) -> list[str]:
    paths = tuple(str(project.root / path) for path in paths)
    return [candidate.path.stem for candidate in select(project, paths, words, without)]


def test_all_but_the_long_ones_by_default(project: Project) -> None:
    """A scenario tagged long waits until it is asked for; a broken one is never left out silently."""
    assert ["plain", "broken", "tagged"] == _names(project)


def test_long_ones_can_be_asked_for(project: Project) -> None:
    """By tag, by name, or as a file; a folder is no request."""
    assert ["broken", "long_one"] == _names(project, (), "tag:long")
    assert ["long_one"] == _names(project, (), "name:long*")
    assert ["long_one"] == _names(project, ("scenarios/walks/long_one.yaml",))
    assert ["broken", "tagged"] == _names(project, ("scenarios/walks",))


def test_words_select_by_tag_name_and_path(project: Project) -> None:
    """Patterns as in a shell; one match suffices; what is excluded stays out."""
    assert ["plain"] == _names(project, (), "name:pl*")
    assert ["broken", "long_one", "tagged"] == _names(project, (), "path:walks/*")
    assert ["plain", "tagged"] == _names(project, (), "name:plain", "name:tagged")
    assert ["tagged"] == _names(project, (), "path:walks/*", without=("tag:long",))


def test_a_selection_of_nothing_is_an_error(project: Project) -> None:
    """It must never look like success."""
    with pytest.raises(NothingSelected):
        _names(project, (), "name:nobody")


@pytest.mark.parametrize("word", ["tlb", "tag:", "colour:red", ""])
def test_a_word_of_no_known_kind_is_refused(project: Project, word: str) -> None:
    """`tag:`, `name:` or `path:` and a pattern."""
    with pytest.raises(UsageError, match="expected tag:WORD, name:PATTERN or path:PATTERN"):
        _names(project, (), word)


def test_paths_must_be_scenarios_of_the_project(project: Project) -> None:
    """A file elsewhere has no golden, and one that is not there is a typing error."""
    outside = project.root / "other.yaml"
    outside.write_text(ONE_PHASE, "utf-8")
    with pytest.raises(UsageError, match="outside of"):
        _names(project, ("other.yaml",))
    with pytest.raises(UsageError, match="no such file or folder"):
        _names(project, ("scenarios/nobody.yaml",))


def test_the_project_is_the_nearest_folder_with_scenarios(project: Project, tmp_path: Path) -> None:
    """From a scenario, from a folder below, and never by looking down."""
    assert tmp_path == find([str(tmp_path / "scenarios" / "walks" / "tagged.yaml")]).root
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert tmp_path == find((), deep).root
    with pytest.raises(UsageError, match="found no folder scenarios/"):
        find((), tmp_path.parent.parent)


def test_goldens_mirror_scenarios(project: Project) -> None:
    """`scenarios/a/b.yaml` has `golden/a/b.txt`; one without a scenario is an orphan."""
    golden = project.golden_of(project.root / "scenarios" / "walks" / "tagged.yaml")
    assert project.root / "golden" / "walks" / "tagged.txt" == golden
    for name in ("walks/tagged", "walks/long_one", "gone"):
        path = project.root / "golden" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", "utf-8")
    assert ["golden/gone.txt"] == [project.name(path) for path in project.orphans()]
