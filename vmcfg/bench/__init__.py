"""Bench: how fast vmcfg is, as ratios in one run. Machines differ by factors; two figures of one run do not."""
