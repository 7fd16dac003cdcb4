"""A small kernel, compiled in a second where real ones take many; its machine code is kept in the working directory."""

from __future__ import annotations

from pathlib import Path


def compile_and_call() -> None:
    import numba

    from vmcfg.jit import entry

    numba.config.CACHE_DIR = str(Path.cwd() / "kernels")
    assert entry(_double)(21) == 42


def _double(number):
    return number + number


if __name__ == "__main__":
    compile_and_call()
