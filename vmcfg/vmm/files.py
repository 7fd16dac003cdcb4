"""Files of guests: where each of their pages lies on a disk, and which guest page holds it now.

A guest's virtual disk is a stretch of one of the host's disks, on which each file lies in one piece. Pages of all files
of a host are numbered through, with a page between two files that belongs to none: so neighbours by number are
neighbours on the disk. The guest's kernel keeps the numbers (`guest.page_cache`).

Shared memory is a file without a disk. Its pages are numbered behind those of all files, and kept in the same way; one
that is not in memory may be in the guest's swap area instead (`guest.shared_memory`).
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel, part
from vmcfg.vmm.devices import request

# file[vm × names + name, field]. FIRST: its first page by number; PLACE: that one on disk. No pages: not of this VM.
FIRST, PAGES, DEVICE, PLACE, FILE_FIELDS = range(5)
# mapping[row, field], of regions that map files: the first virtual page, how many, the first one's number.
VPN, SPAN, NUMBER, MAPPING_FIELDS = range(4)
# rules[vm, field]. SPARE: frames that must be free before a page is read ahead, 0 without a host that could lack any.
# NAMES: of files, on the host. OWN_FIRST, OWN_END: pages of its files by number. CACHED: pages in its cache
# now. TURNS: how often its kernel has looked for dirty pages; OLD_TURNS: after how many turns one is to be written.
# SHARED_FIRST, SHARED_END: pages of its shared memory by number. HOLDS: whether it has any of either.
(HAS_FILES, READ_AHEAD, FIRST_MAPPING, MAPPINGS, SPARE, NAMES, OWN_FIRST, OWN_END, CACHED, TURNS, OLD_TURNS) = range(11)
SHARED_FIRST, SHARED_END, HOLDS = range(11, 14)
RULES = 14
NO_PAGE = -1


@kernel
def file_row(m, vm, name):
    """Return the row of a VM's file by its name's number."""
    return vm * m.files.rules[vm, NAMES] + name


@part
def page_at(m, vm, vpn):
    """Return the page of a file, or of shared memory, that a virtual page of a VM maps, or NO_PAGE."""
    first = m.files.rules[vm, FIRST_MAPPING]
    for row in range(first, first + m.files.rules[vm, MAPPINGS]):
        offset = vpn - m.files.mapping[row, VPN]
        if 0 <= offset < m.files.mapping[row, SPAN]:
            return m.files.mapping[row, NUMBER] + offset
    return np.int64(NO_PAGE)


@kernel
def is_of_file(m, vm, gpid):
    """Tell whether a guest page holds a page of a file, on a disk or without one: all who map it see the same."""
    return m.files.rules[vm, HOLDS] != 0 and m.files.origin[gpid] != 0


@kernel
def is_on_disk(m, vm, page):
    """Tell whether a page of a VM's has a place on a disk: those of shared memory have none."""
    return page < m.files.rules[vm, OWN_END]


@kernel
def is_of_disk(m, vm, gpid):
    """Tell whether a guest page holds a page that has a place on a disk."""
    return is_of_file(m, vm, gpid) and is_on_disk(m, vm, page_in(m, gpid))


@part
def shared_at(m, vm, vpn):
    """Return the guest page that holds the page of shared memory that a virtual page maps, or NO_PAGE."""
    page = page_at(m, vm, vpn)
    if page == NO_PAGE or is_on_disk(m, vm, page) or m.files.cached[page] <= 0:
        return np.int64(NO_PAGE)
    return np.int64(m.files.cached[page]) - 1


@kernel
def page_in(m, gpid):
    """Return the page of a file that a guest page holds."""
    return np.int64(m.files.origin[gpid]) - 1


@kernel
def end_of_file(m, vm, page):
    """Return the number behind the last page of the file that a page belongs to."""
    row = _row_of(m, vm, page)
    return m.files.file[row, FIRST] + m.files.file[row, PAGES]


@part
def transfer_file(m, vm, now, page, pages, is_write):
    """Ask the disk of a file for neighbouring pages; return when it is done."""
    row = _row_of(m, vm, page)
    place = m.files.file[row, PLACE] + page - m.files.file[row, FIRST]
    return request(m, m.files.file[row, DEVICE], now, place, pages, is_write)


@kernel
def _row_of(m, vm, page):
    row = vm * m.files.rules[vm, NAMES]
    while not 0 <= page - m.files.file[row, FIRST] < m.files.file[row, PAGES]:
        row += 1
    return row
