"""Out of memory, said loudly: who asked, what there is, what to change."""

from __future__ import annotations

from vmcfg.errors import RunFailed
from vmcfg.plan.model import HostPlan, VmPlan
from vmcfg.vmm import machine as at
from vmcfg.vmm import swap


def out_of_frames(host: HostPlan, machine: at.Machine) -> RunFailed:
    """Return the error of a host that has no frames left for an access and no policy that could free any."""
    return out_of_frames_for(host, machine, _asking_vm(machine))


def out_of_frames_for(host: HostPlan, machine: at.Machine, vm: int) -> RunFailed:
    """Return the same error for something that a VM does, and not one of its vCPUs."""
    count = machine.host.counts
    kinds = ", ".join(f"{int(count[number]):,} {kind}" for number, kind in enumerate(at.FRAME_KINDS) if count[number])
    return RunFailed(
        "out_of_frames",
        f"vm {host.vms[vm].vm.name} needs machine frames and host {host.name} has not enough: "
        f"{int(count[at.TOTAL]):,} frames ({kinds}), of which {host.reserve_frames} must be free before an access "
        f"that may take some. {_what_paging_does(host, machine)} Raise hosts.{host.name}.memory, "
        f"or lower the memory or the footprint of its VMs.",
    )


def out_of_guest_pages(host: HostPlan, machine: at.Machine) -> RunFailed:
    """Return the error of a guest whose own memory is exhausted."""
    return _no_pages(host, machine, _asking_vm(machine))


def too_little_at_start(host: HostPlan, machine: at.Machine, vm: int, is_guests: bool) -> RunFailed:
    """Return the error of what does not fit before the run: what a VM populates, into itself or into its host."""
    return _no_pages(host, machine, vm) if is_guests else out_of_frames_for(host, machine, vm)


def _what_paging_does(host: HostPlan, machine: at.Machine) -> str:
    if host.paging is None:
        return "The host has no reclaim policy."
    if host.paging.capacity_pages:
        return f"Its paging keeps {host.paging.capacity_pages:,} pages of guests, whatever frames there are."
    used = int(machine.paging.area[swap.HOST_AREA, swap.USED])
    if used == host.areas[swap.HOST_AREA].slots:
        return f"All {used:,} slots of its swap area are in use: raise hosts.{host.name}.swap.size."
    return "No guest has anything left that can be paged out: page tables and kernels stay."


def _no_pages(host: HostPlan, machine: at.Machine, vm: int) -> RunFailed:
    plan = host.vms[vm]
    return RunFailed(
        "out_of_guest_pages",
        f"the guest of vm {plan.vm.name} has no free page left: {plan.vm.memory_pages:,} pages configured, "
        f"{int(machine.guests.vm[vm, at.GUEST_FREE]):,} free. Its workload touches more than fits, and the guest "
        f"{_what_its_swap_does(plan, machine, vm)}. "
        f"Raise vms.{plan.vm.declared}.memory, or lower the size of workloads.{plan.vm.workload}.",
    )


def _what_its_swap_does(plan: VmPlan, machine: at.Machine, vm: int) -> str:
    if plan.vm.reclaim is None or plan.vm.reclaim.swap is None:
        return "has no swap"
    used, slots = int(machine.paging.area[1 + vm, swap.USED]), plan.vm.reclaim.swap.pages
    return f"has used {used:,} of {slots:,} slots of its swap area and cannot page out enough"


def _asking_vm(machine: at.Machine) -> int:
    """Return the VM whose access could not start: that of the head of the core whose turn was interrupted."""
    return int(machine.vcpu[int(machine.core[int(machine.sched[at.TURN]), at.HEAD]), at.VM])
