"""Patterns: how the pages of a region are picked, touch by touch. A pattern is a file with

    rank(m, drawn, key, touch, nth)    the rank of one touch, from 0 to the region's pages - 1

`touch` (u64) is the touch's index in the vCPU's stream with the mixed key `key`; `nth` counts the vCPU's touches of
this pattern from the phase's start. No pattern keeps a state: any touch can be drawn again. A rank is a page of
the region as it is, or leads to one by a permutation (`patterns.order`).
"""
