"""Two pictures side by side: a photo's 2D features, and the 3D features marched into it."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.panels.photo_paint import to_image
from app.theme import DARK, GAP, Theme
from engine.api.replies import TrainingPreview

CAPTIONS = ("2D features", "3D features, marched")
CAPTION = 17
MOST_WIDTH = 260  # of one picture: feature maps are small


class PreviewPair(QWidget):
    """Shows ``TrainingPreview``; as high as its pictures at the width it has."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme: Theme = DARK
        self._shown: TrainingPreview | None = None
        self._images: tuple[QImage, QImage] | None = None
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setToolTip(
            "What each branch says of this photo, in one set of colours that stays the same throughout:\n"
            "left the 2D encoder, right the 3D encoder seen through the photo's camera.\n"
            "They should come to look alike, and stay colourful. Choose a photo to see another."
        )

    def show_preview(self, preview: TrainingPreview | None) -> None:
        if preview is self._shown:
            return
        old = self._shown
        self._shown = preview
        self._images = None if preview is None else (to_image(preview.photo), to_image(preview.marched))
        if old is None or preview is None or old.photo.shape != preview.photo.shape:
            self.updateGeometry()
        self.update()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(250, self.heightForWidth(250))

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return CAPTION + round(self._picture_width(width) * self._aspect())

    def _aspect(self) -> float:
        if self._shown is None:
            return 0.75
        h, w, _ = self._shown.photo.shape
        return h / w

    def _picture_width(self, width: int) -> float:
        return min(MOST_WIDTH, max(1.0, (width - GAP) / 2))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        font = QFont(self.font())
        font.setPointSizeF(8.0)
        painter.setFont(font)
        w = self._picture_width(self.width())
        for n, caption in enumerate(CAPTIONS):
            box = QRectF(n * (w + GAP), 0, w, w * self._aspect())
            painter.fillRect(box, QColor(self._theme.field))
            if self._images is not None:
                painter.drawImage(box, self._images[n])
            painter.setPen(QColor(self._theme.muted))
            foot = QRectF(box.left(), box.bottom() + 1, w, CAPTION - 1)
            painter.drawText(foot, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, caption)
        painter.end()
