"""Mutants: one mechanism broken in each, as somebody could break it by a slip. The suite must catch every one.

`old` stands exactly once in its file; a test of the gate checks that, so that no mutant is lost when code changes.
`parts` names what of the suite is run, likeliest first: see PARTS in `run.py`.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """What is broken, where, and how."""

    breaks: str
    file: str  # below vmcfg/
    old: str
    new: str
    parts: str = "stores machine"


MUTANTS = (
    # Translation caches.
    Mutant("the LRU victim is the way used last but one", "hardware/lru_order.py",
           "(order >> built[OLDEST]) & 15", "(order >> max(built[OLDEST] - 4, 0)) & 15"),
    Mutant("a hit does not count as a use", "hardware/lru_order.py",
           "stores.words[place] = _to_front(stores.words[place], way)", "pass"),
    Mutant("a wide store's victim is the newest way", "hardware/lru_stamps.py",
           "stores.words[first + way] < stores.words[first + oldest]",
           "stores.words[first + way] > stores.words[first + oldest]"),
    Mutant("a tree's nodes point to the way just used", "hardware/tree_plru.py",
           "(bit * (1 - is_right))", "(bit * is_right)"),
    Mutant("an emptied way is filled last", "hardware/lru_order.py",
           "if older > way or stores.words[index + older] != EMPTY:", "if place < built[WAYS]:"),
    Mutant("the set is picked by the page's next bits", "hardware/sets.py",
           "nth_set(built, key & built[MASK])", "nth_set(built, (key >> 1) & built[MASK])"),
    Mutant("a tag forgets its address space", "hardware/sets.py",
           "(space << SPACE_SHIFT) | (key << KEY_SHIFT) | 1", "(key << KEY_SHIFT) | 1"),
    Mutant("a filled entry keeps the victim's D bit", "hardware/assoc.py",
           "= (payload << 1) | dirty", "= (payload << 1) | dirty | (stores.words[entry_of(built, index, way)] & 1)"),
    Mutant("a hit in the L2 TLB does not fill the L1 TLB", "engine/access.py",
           "    fill(stores, first, set_of(first, vpn), tag, frame, has_dirty)\n    return True, has_dirty",
           "    return True, has_dirty"),
    Mutant("a walk does not fill the L2 TLB", "engine/access.py",
           "fill(stores, second, set_of(second, vpn), tag, frame, has_dirty)\n    fill", "pass\n    fill"),
    Mutant("a walk cache's tag is one level too short", "hardware/core.py",
           "page >> (bits * (level - 1))", "page >> (bits * (level - 1) + 1)"),
    # Walks.
    Mutant("the host's walk ends one level early", "mmu/nested.py",
           "for below in range(level - 1, 1, -1):\n        refs += 1",
           "for below in range(level - 1, 2, -1):\n        refs += 1"),
    Mutant("guest walk caches are not filled", "mmu/nested.py",
           "fill_walk_cache(m.stores, caches + level, level, walker.space, vpn, walker.bits, table, is_lean)", "pass"),
    Mutant("the nested TLB is filled with data pages too", "mmu/nested.py",
           "is_write, is_lean)\n    if page > ABSENT and (is_table or holds_data):",
           "is_write, is_lean)\n    if page > ABSENT:"),
    Mutant("reading a guest table does not dirty its page in the EPT", "mmu/nested.py",
           "is_write = is_table or is_store", "is_write = is_store"),
    Mutant("a dirty walk counts as a use of the walk caches", "mmu/walks.py",
           "if not is_quiet:\n                    touch(", "if True:\n                    touch("),
    Mutant("a store's walk leaves the leaf clean", "mmu/walks.py",
           "if is_store and is_guest_leaf(entry, level, is_lean):", "if False:"),
    Mutant("stores on clean entries make no dirty walk", "engine/turn.py",
           "if (kind >> 1) & ~has_dirty:", "if False:"),
    Mutant("a dirty walk forgets to set D in the TLBs", "engine/access.py",
           "set_dirty(m.stores, built, index, way)", "pass"),
    # Data caches.
    Mutant("a hit in a data cache is no use of its line", "hardware/data_caches.py",
           "    if caches.shape[cache, SHIFT] == NARROW:\n",
           "    if tag in caches.tags[first : first + caches.shape[cache, LAST] + 1]:\n        return True\n"
           "    if caches.shape[cache, SHIFT] == NARROW:\n", "lines machine"),
    Mutant("the last level of the data caches is never asked", "hardware/data_caches.py",
           "if _to_front(caches, SHARED, line, tag):", "if False:", "lines machine"),
    Mutant("all cores share the first core's data caches", "hardware/data_caches.py",
           "return 1 + core * OWN + level", "return 1 + level", "lines machine"),
    Mutant("an entry's line is that of the table's first entry", "mmu/references.py",
           "return frame * PAGE_BYTES + index * (PAGE_BYTES >> bits)", "return frame * PAGE_BYTES", "machine"),
    Mutant("after a host walk-cache hit the entry is read from the EPT's root", "mmu/nested.py",
           "table = child - 1 if hits else m.guests.vm[walker.vm, at.EPT_ROOT]",
           "table = m.guests.vm[walker.vm, at.EPT_ROOT]", "machine"),
    Mutant("references are all counted as found in the first level", "mmu/references.py",
           "m.data_caches.counts[walker.row, found] += 1", "m.data_caches.counts[walker.row, 0] += 1", "machine"),
    # Faults, exits and frames.
    Mutant("a guest fault leaves the walk caches of its path", "hardware/core.py",
           "    _drop_path(stores, core * STORES + GUEST_WALK, space, vpn, bits)", "    pass"),
    Mutant("an EPT violation leaves the host's walk caches", "hardware/core.py",
           "    _drop_path(stores, first + HOST_WALK, vm, ppn, TABLE_BITS)", "    pass"),
    Mutant("an exit without VPID flushes nothing", "vmm/verbs.py",
           "flush_combined(m.stores, core)", "pass"),
    Mutant("taking pages away flushes the first core only", "vmm/verbs.py",
           "for core in range(m.sched[at.CORES]):", "for core in range(1):"),
    Mutant("a new table's frame is not charged", "vmm/verbs.py",
           "frames * m.cost[at.ZERO_PAGE]", "min(frames, 1) * m.cost[at.ZERO_PAGE]"),
    Mutant("freed frames are used again first in, first out", "vmm/frames.py",
           "mpn = np.int64(host.free_list[host.counts[TOP]])", "mpn = np.int64(host.free_list[0])"),
    Mutant("the guest's data page is taken before its tables", "guest/pages.py",
           "    ppn = guest[vm, at.GUEST_FRESH]\n", "    ppn = guest[vm, at.GUEST_FRESH] ^ 1\n"),
    Mutant("a fault maps the page writable and dirty", "mmu/tables.py",
           "(ppn << at.PPN_SHIFT) | at.WRITABLE | at.PRESENT",
           "(ppn << at.PPN_SHIFT) | at.WRITABLE | at.PRESENT | at.DIRTY"),
    Mutant("the check for frames stands one frame too late", "engine/access.py",
           "lacks_frame and m.host.counts[FRAME_FREE] < m.host.counts[at.RESERVE]",
           "lacks_frame and m.host.counts[FRAME_FREE] < m.host.counts[at.RESERVE] - 1"),
    # Time.
    Mutant("a rate's schedule is late by one cycle in each touch", "engine/phases.py",
           "v[vcpu, at.DUE] += m.work.phases[phase, work.STEP]\n",
           "v[vcpu, at.DUE] += m.work.phases[phase, work.STEP] + 1\n"),
    Mutant("a rate's fractions of a cycle are dropped", "engine/phases.py",
           "v[vcpu, at.DUE_REMAINDER] += m.work.phases[phase, work.STEP_REMAINDER]", "pass"),
    Mutant("the quantum is not honoured", "engine/loop.py",
           "held >= m.sched[at.QUANTUM]", "held >= 0"),
    Mutant("vCPUs that wake later queue first", "engine/loop.py",
           "m.vcpu[vcpu, at.WAKE] < m.vcpu[earliest, at.WAKE]", "m.vcpu[vcpu, at.WAKE] > m.vcpu[earliest, at.WAKE]"),
    Mutant("touches of the warm-up count", "engine/phases.py",
           "number = 0 if v[vcpu, at.IS_WARM] else 1", "number = 1 if v[vcpu, at.IS_WARM] else 1"),
    Mutant("the remainder of divided walk cycles is lost", "engine/turn.py",
           "m.vcpu[vcpu, at.CARRY] = carry", "m.vcpu[vcpu, at.CARRY] = 0"),
    # Workloads.
    Mutant("a touch draws page and kind from one word", "workload/patterns/drawn.py",
           "\nKIND_WORD = np.uint64(2)", "\nKIND_WORD = np.uint64(0)"),
    Mutant("a hot set is hot by one page too few", "workload/patterns/hot_cold.py",
           "return np.int64(bounded(page, hot))", "return np.int64(bounded(page, hot - np.uint64(hot > 1)))"),
    Mutant("a trace loses its last record", "workload/generate.py",
           "position + 1 if position + 1 < length", "position + 1 if position + 2 < length", "machine traces"),
    # Digests, sums, tables, verdicts.
    Mutant("digests skip walks", "engine/turn.py",
           "fold(m.digest, TRANSLATION, tag ^ (frame << 17) ^ (in_guest + in_host))", "pass", "goldens"),
    Mutant("a digest does not depend on the order of events", "digest.py",
           "digests[subsystem] = mixed ^ (mixed >> _S32)", "digests[subsystem] += np.uint64(event) * _ODD", "goldens"),
    Mutant("L2 hits are counted as L1 hits too", "engine/turn.py",
           "+= touches * per_touch - l2_hits - walks", "+= touches * per_touch - walks"),
    Mutant("the sums are not checked", "metrics/checks.py",
           "if claim.left != claim.right]", "if False]", "results"),
    Mutant("the comparison ignores a table's last column", "golden/compare.py",
           "for column, value in found.items():", "for column, value in list(found.items())[:-1]:", "results"),
    Mutant("a golden with other digests passes for the same", "golden/verdict.py",
           "if old == text:\n        _new(golden).unlink(missing_ok=True)\n        return Verdict(\"same\")",
           "if old and not differences(parse(old), parse(text)):\n        return Verdict(\"same\")", "results"),
    Mutant("exact ratios are rounded down", "tables/column.py",
           "scaled += 2 * rest > denominator or", "scaled += 0 and", "results"),
    Mutant("a claim about an absent row holds", "tables/claims.py",
           "is_met = figure.exact is not None and", "is_met = figure.exact is None or", "results"),
    Mutant("a run that fails ends with exit code 0", "cli/main.py",
           "return error.exit_code", "return 0", "commands"),
    Mutant("check succeeds though a golden differs", "cli/check.py",
           "DIFFERS if wrong or orphans else 0", "DIFFERS if orphans else 0", "commands"),
    Mutant("accept works where CI is set", "golden/verdict.py",
           'if environment.get("CI"):', 'if environment.get("CI") is None:', "commands"),
    Mutant("the first of several files is in place before the others are written", "files.py",
           "            staged.append((_stage(folder, name, text), folder / name))\n",
           "            os.replace(_stage(folder, name, text), folder / name)\n", "commands killed"),
    Mutant("a file is written in its place", "files.py",
           "tempfile.mkstemp(prefix=f\".{name}.\", suffix=\".tmp\", dir=folder)",
           "(os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), str(folder / name))", "commands killed"),
    # Bounds.
    Mutant("a plan's bound forgets the warm-up", "plan/bounds.py",
           "by_work = _warm_up_touches(vcpu, phases[0], host) + min(", "by_work = min(", "bounds"),
    Mutant("paced touches take no time in a plan's bound", "plan/bounds.py",
           "else touches * (phase.step + 1)", "else 0", "bounds"),
    # The front wing.
    Mutant("a KiB has 1000 bytes", "units.py", '"KiB": 1 << 10', '"KiB": 1000', "front"),
    Mutant("the last of duplicate keys wins", "scenario/composing.py",
           "self._report(key.mark, \"yaml-duplicate\", message, notes=(first,))", "pass", "front"),
    Mutant("a truncated compressed trace is taken for a short one", "workload/traces/compression.py",
           "    if is_inside:\n", "    if False:\n", "traces"),
)  # fmt: skip
