"""Trace: single accesses, shown step by step: lookups, every table entry read, exits, faults, fills, costs.

* twin: a second copy of the kernels, as plain Python, whose functions can be watched
* steps: what can happen during an access, as values
* places: where entries and tables lie, and how caches are called
* watch: who watches, in caches, walks and handlers; recorder: what these share
* tracer: compiled up to an access, watched through it
* show: accesses as text; paint: their colours
"""

from vmcfg.trace.steps import Access, as_data
from vmcfg.trace.tracer import Tracer, trace

__all__ = ["Access", "Tracer", "as_data", "trace"]
