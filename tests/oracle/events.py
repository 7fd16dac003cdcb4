"""What the guest's kernel does to its processes between touches: one function for each kind of event."""

from __future__ import annotations

from collections.abc import Callable

from vmcfg.scenario.spec import GuestEvent, Promotion

from .access import access_kernel
from .flushes import load_cr3
from .mapping import collapse, mmap, mprotect, munmap, pages_of
from .memory import page_count
from .power import power_off, reboot
from .processes import PART, change_process, end, execute, fork
from .promotion import promote
from .shortage import check_event, promise
from .vcpu import Vcpu

Occurrence = Callable[[Vcpu, GuestEvent, int], None]  # the how-manieth of this event in the phase, from 0


def happen(vcpu: Vcpu) -> None:
    """All that is due after the touch that was just made, in the order of the phase's events."""
    for number, event in enumerate(vcpu.phase.events):
        if _is_due(vcpu, event, vcpu.occurrences[number] + 1):
            check_event(vcpu, event, vcpu.occurrences[number])
            promise(vcpu, event)
            with vcpu.at_one_time():
                KINDS[event.kind](vcpu, event, vcpu.occurrences[number])
            promise(vcpu, None)
            vcpu.occurrences[number] += 1
            vcpu.retire()
            if vcpu.spaces.is_off:
                return
    plan = vcpu.host.mmu.promotion
    if plan and _is_due(vcpu, plan, vcpu.promotions + 1):
        if vcpu.number == 0:
            promote(vcpu, plan, vcpu.promotions)
        vcpu.promotions += 1


def _is_due(vcpu: Vcpu, event: GuestEvent | Promotion, times: int) -> bool:
    if event.rate is None:
        divisor = event.every_divisor if isinstance(event, GuestEvent) else 1
        return times * event.every_touches // divisor <= vcpu.touches_in_stretch
    cycles = times * vcpu.host.cpu.hz * event.rate.seconds // event.rate.touches
    return vcpu.began_at + cycles <= vcpu.core.clock


def _system_call(vcpu: Vcpu, work: Callable[[], None]) -> None:
    """The way into the kernel and back, around what it does there."""
    vcpu.count("system_calls")
    vcpu.charge(PART, vcpu.costs["syscall"])
    vcpu.is_in_kernel = True
    if vcpu.vm.kpti:
        load_cr3(vcpu, vcpu.loaded)
    work()
    vcpu.is_in_kernel = False
    if vcpu.vm.kpti:
        load_cr3(vcpu, vcpu.loaded)


def _call(work: Occurrence) -> Occurrence:
    """The same as a system call."""
    return lambda vcpu, event, nth: _system_call(vcpu, lambda: work(vcpu, event, nth))


def _syscall(vcpu: Vcpu, event: GuestEvent, _nth: int) -> None:
    for _ in range(event.kernel_pages):
        access_kernel(vcpu)


def _exit(vcpu: Vcpu, _event: GuestEvent, _nth: int) -> None:
    process = vcpu.loaded if vcpu.loaded.born is not None else vcpu.spaces.oldest_child()
    if process and len(vcpu.spaces.living()) > 1:
        _system_call(vcpu, lambda: end(vcpu, process))


def _flush(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    """INVPCID, on the vCPU's own core; with KPTI a process has two tags, and each is an instruction."""
    spaces, core = vcpu.spaces, vcpu.core
    process = (spaces.next_after(vcpu.loaded.slot) if event.of_next else None) or vcpu.loaded
    tags = spaces.tags_of(process.slot)
    times = len(tags)
    if event.what == "page":
        vpn = pages_of(vcpu, event, nth)[0]
        size = page_count(spaces.level_of(process.space, vpn) or 1)
        core.drop_page_of(tags, range(vpn - vpn % size, vpn - vpn % size + size), vpn, spaces.bits)
    elif event.what == "process":
        core.drop_spaces(tags)
    else:
        times = 1
        core.drop_spaces([tag for slot in range(len(spaces.slots)) for tag in spaces.tags_of(slot)])
        if event.what == "all_with_globals":
            core.drop_spaces([vcpu.vm.name])
    vcpu.count("invlpgs", times)
    vcpu.charge("flush_cycles", times * vcpu.costs["invlpg"])


def _read_file(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    assert vcpu.memory.guest
    vcpu.memory.guest.cache.read(vcpu, event, nth)


def _write_file(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    assert vcpu.memory.guest
    vcpu.memory.guest.cache.write(vcpu, event, nth)


KINDS: dict[str, Occurrence] = {
    "context_switch": change_process,
    "syscall": _call(_syscall),
    "mmap": _call(mmap),
    "munmap": _call(munmap),
    "mprotect": _call(mprotect),
    "fork": _call(fork),
    "exec": _call(execute),
    "exit": _exit,
    "collapse": collapse,
    "flush": _flush,
    "read_file": _call(_read_file),
    "write_file": _call(_write_file),
    "power_off": power_off,
    "reboot": reboot,
}
