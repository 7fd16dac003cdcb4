"""Who has to give memory, and how much: one file per policy.

Policies are plain Python over integers. They see what VMs hold and say what each is to give; which pages that are,
and what it costs, is the mechanism's.
"""
