"""Curves over the steps of a training, painted sharp at any scale; the pointer reads their values off."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app.theme import DARK, Theme

Points = tuple[tuple[int, float], ...]
SMOOTH_STEPS = 12.0
TICKS = 4
PLOT_HEIGHT = 96
ROW = 17
LEFT, RIGHT, TOP, BOTTOM = 34.0, 6.0, 6.0, 16.0


@dataclass(frozen=True)
class Style:
    """How one curve looks and what it means.

    Attributes:
        label: in the legend.
        colour: a role of the theme.
        tooltip: one sentence over its legend.
        dashed: dashed rather than solid.
        smooth: paint it thin, and thickly smoothed.
    """

    label: str
    colour: Callable[[Theme], str]
    tooltip: str = ""
    dashed: bool = False
    smooth: bool = False


def smoothed(points: Points, steps: float = SMOOTH_STEPS) -> Points:
    """A moving average that forgets over ``steps`` steps, however unevenly the points lie."""
    out: list[tuple[int, float]] = []
    mean, before = 0.0, 0
    for step, value in points:
        keep = math.exp(-max(1, step - before) / steps) if out else 0.0
        mean = keep * mean + (1 - keep) * value
        before = step
        out.append((step, mean))
    return tuple(out)


def nice_ticks(low: float, high: float, count: int = TICKS) -> tuple[float, ...]:
    """Round numbers within [low, high], about ``count`` of them."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return ()
    raw = span / count
    scale = 10 ** math.floor(math.log10(raw))
    step = next(s * scale for s in (1, 2, 5, 10) if s * scale >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return tuple(round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1))


class Curves(QWidget):
    """A small plot with light axes and a legend that holds the last values, or those under the pointer.

    Args:
        styles: of the curves, by name.
        bounds: of the values; None fits them. Values outside widen them.
    """

    def __init__(
        self,
        styles: dict[str, Style],
        bounds: tuple[float, float] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme: Theme = DARK
        self._styles = styles
        self._fixed = bounds
        self._points: dict[str, Points] = {}
        self._lines: dict[str, Points] = {}
        self._steps = 1
        self._bounds = bounds or (0.0, 1.0)
        self._hover: int | None = None
        self._chips: list[tuple[QRectF, str]] = []
        self.setMouseTracking(True)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    # --- what is shown

    def show_points(self, points: dict[str, Points], steps: int) -> None:
        """``points`` by the names of the styles, in order of steps; what is not finite is left out."""
        clean = {n: tuple(p for p in points.get(n, ()) if math.isfinite(p[1])) for n in self._styles}
        if clean == self._points and steps == self._steps:
            return
        self._points, self._steps = clean, max(1, steps)
        self._lines = {n: smoothed(p) if self._styles[n].smooth else p for n, p in clean.items()}
        self._bounds = self._span()
        self.update()

    def values_at(self, step: int | None) -> dict[str, tuple[int, float]]:
        """Of each curve that has any: the point nearest to ``step``, or its last one."""
        out: dict[str, tuple[int, float]] = {}
        for name, points in self._points.items():
            if points:
                out[name] = points[-1] if step is None else _nearest(points, step)
        return out

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value that the plot spans."""
        return self._bounds

    def _span(self) -> tuple[float, float]:
        values = [v for n, line in self._lines.items() for _, v in (*line, *_bulk(self._points[n]))]
        low, high = self._fixed or (math.inf, -math.inf)
        low, high = min([low, *values]), max([high, *values])
        if not math.isfinite(low) or not math.isfinite(high):
            return 0.0, 1.0
        if self._fixed is None:
            room = 0.06 * (high - low) or 0.5 * abs(high) or 0.5
            low, high = low - room, high + room
        return low, high

    # --- layout

    def sizeHint(self) -> QSize:
        return QSize(250, self.heightForWidth(250))

    def minimumSizeHint(self) -> QSize:
        return QSize(150, PLOT_HEIGHT)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        rows = self._rows(width)
        return PLOT_HEIGHT + (ROW * (rows[-1][1] + 1) if len(rows) > 1 else 0)

    def _rows(self, width: int) -> list[tuple[QRectF, int, str]]:
        """Where the legend's entries lie, in columns of one width; which row each is in, and their names.

        A single one lies in the plot.
        """
        metrics = QFontMetricsF(self._font())
        widest = max(metrics.horizontalAdvance(f"{s.label} 0.000") for s in self._styles.values()) + 24
        if len(self._styles) == 1:
            return [(QRectF(width - RIGHT - widest, TOP, widest, ROW), 0, next(iter(self._styles)))]
        columns = max(1, min(len(self._styles), int(width / widest)))
        out: list[tuple[QRectF, int, str]] = []
        for n, name in enumerate(self._styles):
            row, column = divmod(n, columns)
            out.append((QRectF(column * width / columns, PLOT_HEIGHT + ROW * row, widest, ROW), row, name))
        return out

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPointSizeF(8.0)
        return font

    def _plot(self) -> QRectF:
        return QRectF(LEFT, TOP, max(1.0, self.width() - LEFT - RIGHT), PLOT_HEIGHT - TOP - BOTTOM)

    # --- pointer

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        plot = self._plot()
        at = event.position()
        inside = plot.adjusted(-4, -TOP, 4, BOTTOM).contains(at)
        share = min(1.0, max(0.0, (at.x() - plot.left()) / plot.width()))
        self._point_at(round(share * self._steps) if inside else None)

    def leaveEvent(self, event: QEvent) -> None:
        self._point_at(None)

    def _point_at(self, step: int | None) -> None:
        if step != self._hover:
            self._hover = step
            self.update()

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            at = QPointF(event.pos())
            name = next((n for rect, n in self._chips if rect.contains(at)), None)
            if name is None:
                QToolTip.hideText()
            else:
                QToolTip.showText(event.globalPos(), self._styles[name].tooltip, self)
            return True
        return super().event(event)

    # --- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._font())
        plot, (low, high) = self._plot(), self._bounds

        def to_px(step: float, value: float) -> QPointF:
            return QPointF(
                plot.left() + plot.width() * step / self._steps,
                plot.bottom() - plot.height() * (value - low) / (high - low),
            )

        self._axes(painter, plot, low, high)
        painter.save()
        painter.setClipRect(plot.adjusted(-2, -2, 2, 2))
        for name, style in self._styles.items():
            colour = QColor(style.colour(self._theme))
            if style.smooth:
                faint = QColor(colour)
                faint.setAlpha(95)
                _line(painter, [to_px(*p) for p in self._points.get(name, ())], QPen(faint, 1.0))
            pen = QPen(colour, 1.8)
            if style.dashed:
                pen.setDashPattern([2.2, 2.0])
                pen.setWidthF(1.4)
            pen.setCapStyle(Qt.PenCapStyle.FlatCap if style.dashed else Qt.PenCapStyle.RoundCap)
            pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
            _line(painter, [to_px(*p) for p in self._lines.get(name, ())], pen)
        painter.restore()
        shown = self.values_at(self._hover)
        if self._hover is not None and shown:
            self._reading(painter, plot, [(n, to_px(*p)) for n, p in shown.items()], max(s for s, _ in shown.values()))
        self._legend(painter, shown)
        painter.end()

    def _axes(self, painter: QPainter, plot: QRectF, low: float, high: float) -> None:
        grid, ink = QColor(self._theme.line), QColor(self._theme.muted)
        ticks = nice_ticks(low, high)
        digits = 0 if len(ticks) < 2 else max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
        for value in ticks:
            y = round(plot.bottom() - plot.height() * (value - low) / (high - low)) + 0.5
            painter.setPen(QPen(grid, 1.0))
            painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y))
            painter.setPen(ink)
            box = QRectF(0, y - 8, LEFT - 5, 16)
            painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{value:.{digits}f}")
        painter.setPen(ink)
        foot = QRectF(plot.left(), plot.bottom() + 1, plot.width(), BOTTOM - 1)
        for flag, text in (
            (Qt.AlignmentFlag.AlignLeft, "0"),
            (Qt.AlignmentFlag.AlignHCenter, "step"),
            (Qt.AlignmentFlag.AlignRight, f"{self._steps}"),
        ):
            painter.drawText(foot, flag | Qt.AlignmentFlag.AlignVCenter, text)

    def _reading(self, painter: QPainter, plot: QRectF, dots: Sequence[tuple[str, QPointF]], step: int) -> None:
        """A line where the pointer is, a dot on each curve, and the step."""
        x = dots[0][1].x()
        painter.setPen(QPen(QColor(self._theme.muted), 1.0))
        painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()))
        for name, at in dots:
            painter.setPen(QPen(QColor(self._theme.panel), 1.2))
            painter.setBrush(QColor(self._styles[name].colour(self._theme)))
            painter.drawEllipse(at, 3.4, 3.4)
        text = f"step {step}"
        w = painter.fontMetrics().horizontalAdvance(text) + 10
        box = QRectF(min(max(x - w / 2, plot.left()), plot.right() - w), plot.bottom() + 1, w, BOTTOM - 1)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._theme.raised))
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(QColor(self._theme.text))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def _legend(self, painter: QPainter, shown: dict[str, tuple[int, float]]) -> None:
        self._chips = []
        for rect, _, name in self._rows(self.width()):
            style = self._styles[name]
            pen = QPen(QColor(style.colour(self._theme)), 2.2)
            pen.setCapStyle(Qt.PenCapStyle.FlatCap)
            if style.dashed:
                pen.setDashPattern([1.6, 1.3])
            painter.setPen(pen)
            y = rect.center().y()
            painter.drawLine(QPointF(rect.left() + 2, y), QPointF(rect.left() + 15, y))
            text = rect.adjusted(20, 0, 0, 0)
            flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
            painter.setPen(QColor(self._theme.muted))
            painter.drawText(text, flags, style.label)
            if name in shown:
                painter.setPen(QColor(self._theme.text))
                text.setLeft(text.left() + painter.fontMetrics().horizontalAdvance(style.label + " "))
                painter.drawText(text, flags, f"{shown[name][1]:.3g}")
            self._chips.append((rect, name))


def _line(painter: QPainter, points: list[QPointF], pen: QPen) -> None:
    """A line through the points; a dot where there is but one."""
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if len(points) == 1:
        painter.setBrush(pen.color())
        painter.drawEllipse(points[0], 1.6, 1.6)
    elif points:
        painter.drawPolyline(QPolygonF(points))


def _nearest(points: Points, step: int) -> tuple[int, float]:
    at = bisect_left(points, step, key=lambda p: p[0])
    near = points[max(0, at - 1) : at + 1] or points[-1:]
    return min(near, key=lambda p: abs(p[0] - step))


def _bulk(points: Points) -> Points:
    """``points`` without the highest and lowest few, which would flatten all the rest."""
    if len(points) < 20:
        return points
    order = sorted(points, key=lambda p: p[1])
    cut = len(points) // 40
    return tuple(order[cut : len(order) - cut])
