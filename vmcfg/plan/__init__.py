"""Plan: the engine pipeline, compiled from a Scenario. The one place where both wings meet.

Everything that can be decided before a run is decided here, in integers: cycles, array sizes, offsets, due
times, upper bounds. A plan can be printed, and a person can read from it what will happen and in which order.
"""

from vmcfg.plan.compile import compile_plan
from vmcfg.plan.model import Plan

__all__ = ["Plan", "compile_plan"]
