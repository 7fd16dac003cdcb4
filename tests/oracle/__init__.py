"""The naive oracle: the machine once more, in plain dictionaries and lists, as slow and as obvious as possible.

It is written from the description of the machine and shares nothing with the engine but the Scenario's types, so
that an error has to be made twice to stay hidden. Speed is no aim: ten thousand to a million touches.
"""

from .result import OracleResult
from .run import run

__all__ = ["OracleResult", "run"]
