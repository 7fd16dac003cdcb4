"""What can happen to pages that leave memory or come back, as values: see `trace.steps`."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import frozen


@frozen
class Leave:
    """The host took a page's frame away; its content is in `where`."""

    step: ClassVar = "leave"
    page: str
    mpn: int
    where: str


@frozen
class Arrive:
    """The host gave a page that was in `place` a frame again; a disk may still have to read it."""

    step: ClassVar = "arrive"
    page: str
    mpn: int
    place: str


@frozen
class Request:
    """A disk was asked to read or write `pages` pages from `place` on; it is done at a cycle, and nobody waits here."""

    step: ClassVar = "request"
    disk: str
    is_write: bool
    place: int
    pages: int
    asked_clock: int
    done_clock: int


@frozen
class PastTlbs:
    """A page was read or overwritten as a whole, past the TLBs, by a device or for a copy."""

    step: ClassVar = "past_tlbs"
    ppn: int
    how: str
    steps: tuple[Any, ...]


@frozen
class PopBalloon:
    """A page of the balloon was touched: all of its pages are as if never touched."""

    step: ClassVar = "pop_balloon"
    pages: int


@frozen
class GuestPageOut:
    """The guest's own policy chose a page, and its kernel unmapped it; its content goes to `where`."""

    step: ClassVar = "guest_page_out"
    page: str
    where: str
    steps: tuple[Any, ...]


@frozen
class GuestPageIn:
    """The guest read a page back from a slot of its swap area."""

    step: ClassVar = "guest_page_in"
    slot: int
    steps: tuple[Any, ...]


@frozen
class Wait:
    """The vCPU waited for frames that were on their way; then the access began anew."""

    step: ClassVar = "wait"
    cycles: int


PagingStep = Wait | Leave | Arrive | Request | PastTlbs | PopBalloon | GuestPageOut | GuestPageIn
