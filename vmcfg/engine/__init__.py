"""Engine: a Plan becomes a Machine, runs, and leaves a RunResult."""

from vmcfg.engine.simulate import needs_compiling, simulate

__all__ = ["needs_compiling", "simulate"]
