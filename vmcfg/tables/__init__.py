"""Run → Tables: typed columns, computed exactly and written once.

A table is one file with its columns and their definitions, and one line in `KINDS`; its name also stands in the
schema. This room knows results and nothing of how they came about.
"""

from __future__ import annotations

from collections.abc import Mapping

from vmcfg.metrics.result import RunResult
from vmcfg.scenario.spec import Scenario
from vmcfg.tables.exits import EXITS
from vmcfg.tables.frames import FRAMES
from vmcfg.tables.memory import MEMORY
from vmcfg.tables.table import Table, TableKind
from vmcfg.tables.time import TIME
from vmcfg.tables.translation import TRANSLATION
from vmcfg.tables.vms import VMS

KINDS: Mapping[str, TableKind] = {kind.name: kind for kind in (VMS, TRANSLATION, EXITS, MEMORY, TIME, FRAMES)}

__all__ = ["KINDS", "Table", "TableKind", "build"]


def build(scenario: Scenario, result: RunResult) -> dict[str, Table]:
    """Return every table of a run by name, also those that the scenario does not ask for."""
    return {name: kind.build(scenario, result) for name, kind in KINDS.items()}
