"""`mixture`: each touch is one of several patterns', by weight. A program with a stack, a heap and a scan at once.

A word of a stream of its own, `<vm>/<vcpu>/mixture`, decides by exact integer weights whose touch it is; that part
then draws the page with the touch's own words. A part goes on from where it was: the scan in a mixture misses no
page. So a part's steps are counted per vCPU, the one thing about patterns that is not known from the touch's index.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel
from vmcfg.rng import mulhi, word
from vmcfg.workload import fields as work


@kernel
def begin(m, vcpu, phase):
    """Let all parts begin at their start."""
    for part in range(m.work.phases[phase, work.PARTS]):
        m.work.steps[vcpu, part] = 0


@kernel
def choose(m, vcpu, phase, touch):
    """Return the part whose touch it is, from 0."""
    phases, first = m.work.phases, m.work.phases[phase, work.FIRST_PART]
    weight = np.int64(mulhi(word(m.work.choices[vcpu], touch), np.uint64(phases[phase, work.WEIGHTS])))
    part = np.int64(0)
    while weight >= phases[first + part, work.WEIGHTS]:
        part += 1
    return part


@kernel
def advance(m, vcpu, part):
    """Return how many touches the part has had, and count this one."""
    nth = m.work.steps[vcpu, part]
    m.work.steps[vcpu, part] = nth + 1
    return nth
