"""How well each network does: one line each for accuracy and mIoU, and bars of every class. Painted."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QHelpEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app.task_state import Score
from app.theme import DARK, Theme

ROW, HEAD, BETWEEN = 30.0, 18.0, 14.0
CLASS_ROW, THIN, GAP = 15.0, 5.0, 2.0
NAMES, VALUE = 92.0, 40.0
"""Room for names on the left, and for a value on the right."""


def init_name(init: str) -> str:
    """As it is called on screen: the file's own name of weights."""
    return init.replace("\\", "/").rsplit("/", 1)[-1]


def init_colour(theme: Theme, place: int) -> QColor:
    """Of the network that was asked for at that place."""
    return QColor((theme.accent, theme.warm, theme.good, theme.muted)[min(place, 3)])


class Scores(QWidget):
    """Accuracy and mIoU of each network over its seeds, with deviations."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme: Theme = DARK
        self._scores: tuple[Score, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_scores(self, scores: tuple[Score, ...]) -> None:
        if scores != self._scores:
            self._scores = scores
            self.updateGeometry()
            self.update()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(260, round(HEAD + ROW * len(self._scores)))

    def minimumSizeHint(self) -> QSize:
        return QSize(160, self.sizeHint().height())

    def told(self, score: Score) -> str:
        """A line in words."""
        seeds = f"{score.runs} seed{'s' if score.runs != 1 else ''}"
        return (
            f"{init_name(score.init)}, mean of {seeds}: accuracy {_percent(score.accuracy, score.accuracy_deviation)}, "
            f"mIoU {_percent(score.miou, score.miou_deviation)}"
        )

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent):
            place = int((event.pos().y() - HEAD) // ROW)
            if 0 <= place < len(self._scores):
                QToolTip.showText(event.globalPos(), self.told(self._scores[place]), self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        room = (self.width() - NAMES - BETWEEN) / 2
        lefts = (NAMES, NAMES + room + BETWEEN)
        painter.setPen(QColor(self._theme.muted))
        for left, title in zip(lefts, ("accuracy", "mean IoU"), strict=True):
            painter.drawText(QRectF(left, 0, room, HEAD), Qt.AlignmentFlag.AlignLeft, title)
        for n, score in enumerate(self._scores):
            top = HEAD + n * ROW
            painter.setPen(QColor(self._theme.text))
            name = painter.fontMetrics().elidedText(init_name(score.init), Qt.TextElideMode.ElideRight, int(NAMES - 8))
            painter.drawText(QRectF(0, top, NAMES, ROW - 8), Qt.AlignmentFlag.AlignVCenter, name)
            values = ((score.accuracy, score.accuracy_deviation), (score.miou, score.miou_deviation))
            for left, (value, deviation) in zip(lefts, values, strict=True):
                self._bar(painter, QRectF(left, top, room, ROW), init_colour(self._theme, n), value, deviation)
        painter.end()

    def _bar(self, painter: QPainter, box: QRectF, ink: QColor, value: float, deviation: float | None) -> None:
        bold = QFont(self.font())
        bold.setWeight(QFont.Weight.DemiBold)
        painter.setFont(bold)
        painter.setPen(QColor(self._theme.text))
        told = f"{100 * value:.1f}"
        painter.drawText(box.adjusted(0, 0, 0, -12), Qt.AlignmentFlag.AlignVCenter, told)
        wide = QFontMetricsF(bold).horizontalAdvance(told)
        painter.setFont(self.font())
        if deviation is not None:
            painter.setPen(QColor(self._theme.muted))
            painter.drawText(
                box.adjusted(wide + 5, 0, 0, -12), Qt.AlignmentFlag.AlignVCenter, f"± {100 * deviation:.1f}"
            )
        track = QRectF(box.left(), box.top() + 19, box.width(), 5)
        _bar(painter, track, QColor(self._theme.line), 1.0)
        _bar(painter, track, ink, value)
        if deviation:
            painter.setPen(QPen(QColor(self._theme.text), 1.4))
            low, high = (
                track.left() + track.width() * min(1.0, max(0.0, v)) for v in (value - deviation, value + deviation)
            )
            y = track.center().y()
            painter.drawLine(QPointF(low, y), QPointF(high, y))
            for x in (low, high):
                painter.drawLine(QPointF(x, y - 3), QPointF(x, y + 3))


class ClassBars(QWidget):
    """IoU of each class, a bar for each network; the classes that do worst come first."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme: Theme = DARK
        self._names: tuple[str, ...] = ()
        self._scores: tuple[Score, ...] = ()
        self._order: tuple[int, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_scores(self, names: tuple[str, ...], scores: tuple[Score, ...]) -> None:
        if (names, scores) != (self._names, self._scores):
            self._names, self._scores = names, scores
            self._order = tuple(sorted(range(len(names)), key=lambda k: scores[0].iou[k])) if scores else ()
            self.updateGeometry()
            self.update()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    @property
    def _row(self) -> float:
        return max(CLASS_ROW, (THIN + GAP) * len(self._scores) + 5)

    def sizeHint(self) -> QSize:
        return QSize(260, round(self._row * len(self._order)) + 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(160, self.sizeHint().height())

    def told(self, place: int) -> str:
        """A row in words."""
        k = self._order[place]
        return "\n".join([self._names[k], *(f"{init_name(s.init)}: IoU {100 * s.iou[k]:.1f} %" for s in self._scores)])

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent):
            place = int(event.pos().y() // self._row)
            if 0 <= place < len(self._order):
                QToolTip.showText(event.globalPos(), self.told(place), self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for place, k in enumerate(self._order):
            top = place * self._row
            self._class(painter, QRectF(0, top, self.width(), self._row), k)
        painter.end()

    def _class(self, painter: QPainter, box: QRectF, k: int) -> None:
        painter.setPen(QColor(self._theme.text))
        name = painter.fontMetrics().elidedText(self._names[k], Qt.TextElideMode.ElideRight, int(NAMES - 8))
        painter.drawText(QRectF(0, box.top(), NAMES, box.height()), Qt.AlignmentFlag.AlignVCenter, name)
        painter.setPen(QColor(self._theme.muted))
        painter.drawText(
            box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{100 * self._scores[0].iou[k]:.1f}"
        )
        tall = (THIN + GAP) * len(self._scores) - GAP
        top = box.center().y() - tall / 2
        for n, score in enumerate(self._scores):
            track = QRectF(NAMES, top + n * (THIN + GAP), box.width() - NAMES - VALUE, THIN)
            _bar(painter, track, QColor(self._theme.line), 1.0)
            _bar(painter, track, init_colour(self._theme, n), score.iou[k])


def _bar(painter: QPainter, track: QRectF, ink: QColor, share: float) -> None:
    if share > 0:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ink)
        rect = QRectF(track.left(), track.top(), max(track.height(), track.width() * min(share, 1.0)), track.height())
        painter.drawRoundedRect(rect, track.height() / 2, track.height() / 2)


def _percent(value: float, deviation: float | None) -> str:
    return f"{100 * value:.1f} %" if deviation is None else f"{100 * value:.1f} ± {100 * deviation:.1f} %"
