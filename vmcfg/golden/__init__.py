"""Tables → golden verdict: results that are reviewed once, kept as text, and compared to the last digit.

One readable file per scenario, at the mirrored path: `scenarios/a/b.yaml` has `golden/a/b.txt`. It holds the
scenario's digest, the tables that the scenario asks for, and digests by checkpoint and subsystem, so that a mismatch
says not only which cell differs but where the two runs parted. Nothing here prints.
"""
