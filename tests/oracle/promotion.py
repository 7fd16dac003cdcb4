"""The VMM puts large host pages in place of small ones: dictionaries again."""

from __future__ import annotations

from vmcfg.scenario.spec import Promotion

from .faults import take_exit
from .memory import Entry, key
from .vcpu import Vcpu


def promote(vcpu: Vcpu, plan: Promotion, nth: int) -> None:
    """Looks at the next blocks of 512 guest pages, round the VM's memory."""
    memory = vcpu.memory
    whole = vcpu.vm.memory_pages // 512
    for i in range(plan.blocks if whole else 0):
        first = (nth * plan.blocks + i) % whole * 512
        vcpu.count("blocks_scanned")
        table = memory.ept.get(key(2, first))
        pages = [ppn for ppn in range(first, first + 512) if ppn in memory.pmap]
        is_room = memory.frames.free >= memory.reserve + 512
        is_in_pieces = not table.is_leaf if table else memory.is_shadowed
        if is_in_pieces and pages and 512 - len(pages) <= plan.max_absent and is_room:
            _put_together(vcpu, first, pages)


def _put_together(vcpu: Vcpu, first: int, pages: list[int]) -> None:
    memory = vcpu.memory
    block = memory.frames.take_block(512)
    if block is None:
        return
    old = [memory.ept.pop(key(1, ppn)) for ppn in pages if memory.is_nested]
    if vcpu.shadow:
        vcpu.shadow.forget_frames({memory.pmap[ppn] for ppn in pages})
    for ppn in pages:
        memory.frames.give_back(memory.pmap[ppn])
    if memory.is_nested:
        memory.frames.give_back(memory.ept[key(2, first)].target)
    used = any(entry.accessed for entry in old), any(entry.dirty for entry in old)
    memory.ept[key(2, first)] = Entry(block, *used, is_leaf=True)
    memory.pmap |= {first + n: block + n for n in range(512)}
    _forget(vcpu)
    added = 512 - len(pages)
    vcpu.count("promoted")
    vcpu.count("promote_copied", len(pages))
    vcpu.count("promote_added", added)
    costs = vcpu.costs
    moving = len(pages) * costs["copy_page"] + added * costs["zero_page"]
    is_nested = vcpu.host.mmu.mode == "nested"
    if is_nested or vcpu.host.mmu.vpid:
        vcpu.count("invepts" if is_nested else "invvpids_context", len(vcpu.cores))
    take_exit(vcpu, "promotion", costs["exit"] + moving + len(vcpu.cores) * costs["invept"])


def _forget(vcpu: Vcpu) -> None:
    """INVEPT on each core: nothing is held any more of the VM's processes, of its kernel, or of its memory."""
    spaces = vcpu.spaces
    tags = [tag for slot in range(len(spaces.slots)) for tag in spaces.tags_of(slot)]
    for core in vcpu.cores:
        core.drop_spaces([*tags, vcpu.vm.name])
        core.drop_memory(vcpu.vm.name)
