"""A compression cache as lists of frames: what `vmm.compression` must come to, entry by entry."""

from __future__ import annotations

from collections import OrderedDict

Frame = list[int | None]  # what lies in each of its four quarters


class Cache:
    """Entries by age, frames in quarters. Halves and quarters that are free are taken in the order of becoming so."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.frames: list[Frame] = []
        self.entries: OrderedDict[int, tuple[Frame, int, int]] = OrderedDict()  # page → frame, first quarter, how many
        self._quarters: list[tuple[Frame, int]] = []  # free ones beside used ones
        self._halves: list[tuple[Frame, int]] = []  # free ones of frames in use

    def has_place(self, quarters: int) -> bool:
        """Tell whether an entry of so many quarters would fit now."""
        return len(self.frames) < self.limit or bool(self._halves) or (quarters == 1 and bool(self._quarters))

    def keep(self, page: int, quarters: int) -> int:
        """Put a page in; return the frames taken for it."""
        before = len(self.frames)
        if quarters == 1 and self._quarters:
            frame, first = self._quarters.pop(0)
        else:
            frame, first = self._half()
            if quarters == 1:
                self._quarters.append((frame, first + 1))
        frame[first : first + quarters] = [page] * quarters
        self.entries[page] = frame, first, quarters
        return len(self.frames) - before

    def drop(self, page: int) -> int:
        """Take a page out; return the frames given back."""
        frame, first, quarters = self.entries.pop(page)
        frame[first : first + quarters] = [None] * quarters
        half, other = first // 2 * 2, 2 - first // 2 * 2
        self._remove(self._quarters, frame, (half, half + 1))
        if frame[half] is not None or frame[half + 1] is not None:
            self._quarters.append((frame, first))
        elif frame[other] is None and frame[other + 1] is None:
            self._remove(self._halves, frame, (other,))
            self.frames = [each for each in self.frames if each is not frame]
            return 1
        else:
            self._halves.append((frame, half))
        return 0

    def _half(self) -> tuple[Frame, int]:
        if self._halves:
            return self._halves.pop(0)
        frame: Frame = [None] * 4
        self.frames.append(frame)
        self._halves.append((frame, 2))
        return frame, 0

    @staticmethod
    def _remove(places: list[tuple[Frame, int]], frame: Frame, firsts: tuple[int, ...]) -> None:
        places[:] = [(each, first) for each, first in places if each is not frame or first not in firsts]
