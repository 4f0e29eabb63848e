"""Which steps can be undone and redone: places of their records in the journal, 8 bytes each."""

from __future__ import annotations

from array import array


class History:
    """Attributes:
    done: positions of the edits that are made, the newest last.
    undone: positions of those taken back, the next to be redone last.
    """

    def __init__(self) -> None:
        self.done = array("Q")
        self.undone = array("Q")

    def did(self, position: int) -> None:
        """A new edit: what was undone can no longer be redone."""
        self.done.append(position)
        del self.undone[:]

    def undid(self) -> int:
        """The last edit is taken back; its position."""
        self.undone.append(self.done.pop())
        return self.undone[-1]

    def redid(self) -> int:
        """The edit taken back last is made again; its position."""
        self.done.append(self.undone.pop())
        return self.done[-1]
