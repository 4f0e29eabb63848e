"""The command palette: type a few letters of what you want to do, and Enter does it."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QObject, QPoint, QSize, Qt
from PySide6.QtGui import QAction, QIcon, QKeyEvent, QKeySequence, QPixmap
from PySide6.QtWidgets import QFrame, QHeaderView, QLabel, QLineEdit, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from app.actions import ACTIONS, Action
from app.theme import GAP, PAD

WIDTH, ROWS, ROW_PX, ICON_PX = 540, 12, 26, 17
STEPS = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: ROWS - 1, Qt.Key.Key_PageUp: 1 - ROWS}


def ranked(text: str, actions: tuple[Action, ...] = ACTIONS) -> list[Action]:
    """Those in whose label, menu or tooltip every typed word occurs; where a label begins so, it comes first."""
    words = text.casefold().split()

    def place(action: Action) -> tuple[int, int] | None:
        label = action.label.casefold()
        whole = f"{label} {action.menu} {action.tooltip}".casefold()
        if not all(word in whole for word in words):
            return None
        in_label = all(word in label for word in words)
        starts = bool(words) and label.startswith(words[0])
        begins = bool(words) and any(part.startswith(words[0]) for part in label.split())
        return (0 if starts and in_label else 1 if begins and in_label else 2 if in_label else 3), actions.index(action)

    placed = [(p, a) for a in actions if (p := place(a)) is not None]
    return [a for _, a in sorted(placed, key=lambda pair: pair[0])]


class CommandPalette(QFrame):
    """A field and what it finds in the table of actions; what cannot be done now is grey and stays put.

    Args:
        parent: the window that it opens over.
        actions: those of the window, by id.
    """

    def __init__(self, parent: QWidget, actions: Mapping[str, QAction]) -> None:
        # a window of its own: within the main window the canvas, which is native, would lie over it
        super().__init__(parent, Qt.WindowType.Popup)
        self._window, self._actions = parent, actions
        self.setObjectName("sheet")
        column = QVBoxLayout(self)
        column.setContentsMargins(PAD, PAD, PAD, PAD)
        column.setSpacing(GAP)
        self.field = QLineEdit()
        self.field.setPlaceholderText("What do you want to do?")
        self.field.setClearButtonEnabled(True)
        self.field.textChanged.connect(self._find)
        self.field.installEventFilter(self)
        self.list = QTreeWidget()
        self.list.setColumnCount(3)
        self.list.setHeaderHidden(True)
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.list.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for section in (1, 2):
            header.setSectionResizeMode(section, QHeaderView.ResizeMode.ResizeToContents)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.itemClicked.connect(self._run)
        blank = QPixmap(ICON_PX, ICON_PX)  # so that names without an icon stand below the others
        blank.fill(Qt.GlobalColor.transparent)
        self._blank = QIcon(blank)
        self.list.setIconSize(blank.size())
        self.none = QLabel("Nothing is called that.")
        self.none.setObjectName("muted")
        for widget in (self.field, self.list, self.none):
            column.addWidget(widget)
        self.hide()

    def toggle(self) -> None:
        """Open with everything listed, or close."""
        if self.isVisible():
            self.hide()
            return
        self.field.clear()
        self._find("")
        self.setFixedSize(WIDTH, ROWS * ROW_PX + 90)
        parent = self._window
        self.move(parent.mapToGlobal(QPoint((parent.width() - WIDTH) // 2, parent.height() // 8)))
        self.show()
        self.field.setFocus()

    def _find(self, text: str) -> None:
        self.list.clear()
        native = QKeySequence.SequenceFormat.NativeText
        for spec in ranked(text):
            action = self._actions[spec.id]
            item = QTreeWidgetItem([spec.label, spec.menu, action.shortcut().toString(native)])
            item.setData(0, Qt.ItemDataRole.UserRole, spec.id)
            item.setToolTip(0, spec.tooltip)
            item.setIcon(0, self._blank if action.icon().isNull() else action.icon())
            item.setSizeHint(0, QSize(0, ROW_PX))
            item.setDisabled(not action.isEnabled())
            self.list.addTopLevelItem(item)
        self.none.setVisible(self.list.topLevelItemCount() == 0)
        self._move(0, 1)

    def _move(self, row: int, step: int) -> None:
        """To the first row from there, in the direction of ``step``, that can be done."""
        count = self.list.topLevelItemCount()
        row = min(max(row, 0), count - 1)
        while 0 <= row < count:
            item = self.list.topLevelItem(row)
            if item is not None and not item.isDisabled():
                self.list.setCurrentItem(item)
                return
            row += 1 if step > 0 else -1

    def _run(self, item: QTreeWidgetItem | None) -> None:
        if item is None or item.isDisabled():
            return
        self.hide()  # first: a dialog that it opens must not stand behind this
        self._actions[item.data(0, Qt.ItemDataRole.UserRole)].trigger()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() != QEvent.Type.KeyPress or not isinstance(event, QKeyEvent):
            return False
        key = Qt.Key(event.key())
        if key in STEPS:
            now = self.list.currentItem()
            self._move((self.list.indexOfTopLevelItem(now) if now is not None else 0) + STEPS[key], STEPS[key])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._run(self.list.currentItem())
        else:
            return False
        return True
