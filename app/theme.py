"""Two themes from one set of roles: surfaces, text, one accent. A palette, and a small stylesheet on top."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication

from app.state import ThemeName

GAP, PAD, RADIUS = 6, 10, 6  # logical pixels, everywhere


@dataclass(frozen=True)
class Theme:
    """Colours by role, ``#rrggbb``."""

    name: ThemeName
    window: str
    panel: str
    raised: str
    field: str
    line: str
    text: str
    muted: str
    accent: str
    warm: str
    on_accent: str
    good: str
    bad: str
    bad_ground: str
    note_ground: str


DARK = Theme(
    name="dark", window="#14161b", panel="#1a1d24", raised="#242832", field="#101217", line="#2c313c", text="#e4e8ef",
    muted="#98a2b5", accent="#4cc2ff", warm="#ffb35c", on_accent="#06222f", good="#7ee787", bad="#ff7b72",
    bad_ground="#3a1d20", note_ground="#1e2b38",
)  # fmt: skip
LIGHT = Theme(
    name="light", window="#e9ecf1", panel="#f5f6f9", raised="#ffffff", field="#ffffff", line="#d3d8e2", text="#1b2130",
    muted="#5d6779", accent="#0a6fd6", warm="#b65400", on_accent="#ffffff", good="#1a7f37", bad="#b3261e",
    bad_ground="#fbe3e1", note_ground="#dfecfa",
)  # fmt: skip
THEMES: dict[ThemeName, Theme] = {"dark": DARK, "light": LIGHT}


def palette(t: Theme) -> QPalette:
    """Qt's own roles, for whatever the stylesheet does not reach."""
    p = QPalette()
    role = QPalette.ColorRole
    for r, code in (
        (role.Window, t.panel), (role.WindowText, t.text), (role.Base, t.field), (role.AlternateBase, t.raised),
        (role.Text, t.text), (role.PlaceholderText, t.muted), (role.Button, t.raised), (role.ButtonText, t.text),
        (role.BrightText, t.bad), (role.Highlight, t.accent), (role.HighlightedText, t.on_accent),
        (role.ToolTipBase, t.raised), (role.ToolTipText, t.text), (role.Link, t.accent), (role.Mid, t.line),
    ):  # fmt: skip
        p.setColor(r, QColor(code))
    for r in (role.WindowText, role.Text, role.ButtonText):
        muted = QColor(t.muted)
        muted.setAlpha(120)
        p.setColor(QPalette.ColorGroup.Disabled, r, muted)
    return p


def set_base(app: QApplication) -> None:
    """Style and font; before any widget is made, as some keep the font they were made with."""
    app.setStyle("Fusion")
    font = QFont(app.font())
    font.setPointSizeF(9.5)
    font.setStyleHint(QFont.StyleHint.SansSerif)
    app.setFont(font)


def apply(app: QApplication, t: Theme) -> None:
    """Colour the whole application."""
    app.setPalette(palette(t))
    app.setStyleSheet(stylesheet(t))


def stylesheet(t: Theme) -> str:
    return f"""
QMainWindow, QMainWindow::separator {{ background: {t.window}; }}
QMainWindow::separator {{ width: 5px; height: 5px; }}
QMainWindow::separator:hover {{ background: {t.accent}; }}
QWidget#page, QWidget#panel {{ background: {t.panel}; }}
QWidget#emptyPage {{ background: {t.window}; }}
QMenuBar {{ background: {t.panel}; color: {t.text}; padding: 2px 4px; }}
QMenuBar::item {{ padding: 4px 9px; border-radius: 4px; background: transparent; }}
QMenuBar::item:selected {{ background: {t.raised}; }}
QMenu {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.line}; padding: 5px; }}
QMenu::item {{ padding: 5px 26px 5px 10px; border-radius: 4px; }}
QMenu::item:selected {{ background: {t.accent}; color: {t.on_accent}; }}
QMenu::item:disabled {{ color: {t.muted}; }}
QMenu::separator {{ height: 1px; background: {t.line}; margin: 5px 8px; }}
QToolBar {{ background: {t.panel}; border: none; border-bottom: 1px solid {t.line}; padding: 4px 8px; spacing: 3px; }}
QToolBar::separator {{ background: {t.line}; width: 1px; margin: 5px 6px; }}
QToolButton {{ background: transparent; border: 1px solid transparent; border-radius: {RADIUS - 1}px; padding: 4px;
    color: {t.text}; }}
QToolButton#menu::menu-indicator, QFrame#chip QToolButton::menu-indicator {{ image: none; width: 0; }}
QToolButton:hover {{ background: {t.raised}; }}
QToolButton:checked {{ background: {t.raised}; border-color: {t.accent}; color: {t.accent}; }}
QToolButton:disabled {{ color: {t.muted}; }}
QToolButton:focus, QPushButton:focus {{ border-color: {t.accent}; }}
QDockWidget {{ color: {t.muted}; font-weight: 600; titlebar-close-icon: none; titlebar-normal-icon: none; }}
QDockWidget::title {{ background: {t.panel}; padding: 8px {PAD}px 6px {PAD}px; text-align: left; }}
QLabel#muted {{ color: {t.muted}; }}
QLabel#heading {{ color: {t.muted}; font-weight: 600; }}
QLabel#title {{ color: {t.text}; font-size: 21pt; font-weight: 300; }}
QLabel#strong {{ color: {t.text}; font-weight: 600; }}
QLabel#subtitle {{ color: {t.text}; font-size: 14pt; font-weight: 300; }}
QLabel#figure {{ color: {t.accent}; font-size: 13pt; font-weight: 600; }}
QLabel#problem {{ color: {t.text}; background: {t.bad_ground}; border: 1px solid {t.bad}; border-radius: {RADIUS}px;
    padding: {PAD}px; }}
QLabel#drop {{ color: {t.accent}; background: {t.note_ground}; border: 2px dashed {t.accent}; border-radius: 10px;
    font-size: 13pt; }}
QLabel#bad {{ color: {t.bad}; }}
QLabel#value {{ color: {t.text}; }}
QPushButton {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.line}; border-radius: {RADIUS}px;
    padding: 6px 14px; }}
QPushButton:hover {{ border-color: {t.muted}; }}
QPushButton:checked {{ border-color: {t.accent}; color: {t.accent}; }}
QPushButton:pressed {{ background: {t.field}; }}
QPushButton:disabled {{ color: {t.muted}; }}
QPushButton#primary {{ background: {t.accent}; color: {t.on_accent}; border-color: {t.accent}; font-weight: 600; }}
QPushButton#primary:hover {{ border-color: {t.text}; }}
QPushButton#link {{ background: transparent; border: none; text-align: left; padding: 3px 4px; color: {t.text}; }}
QPushButton#link:hover {{ color: {t.accent}; }}
QPushButton#segment {{ border-radius: 0; padding: 4px 10px; margin: 0; }}
QPushButton#segment:checked {{ background: {t.accent}; color: {t.on_accent}; border-color: {t.accent}; }}
QSlider::groove:horizontal {{ height: 4px; background: {t.line}; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {t.accent}; border-radius: 2px; }}
QSlider::sub-page:horizontal:disabled {{ background: {t.line}; }}
QSlider::handle:horizontal {{ background: {t.text}; width: 12px; height: 12px; margin: -4px 0; border-radius: 6px; }}
QSlider::handle:horizontal:hover {{ background: {t.accent}; }}
QSlider::handle:horizontal:disabled {{ background: {t.line}; }}
QProgressBar {{ background: {t.field}; border: none; border-radius: 3px; height: 6px; max-height: 6px; }}
QProgressBar::chunk {{ background: {t.accent}; border-radius: 3px; }}
QTableView {{ background: {t.panel}; alternate-background-color: {t.panel}; border: none; gridline-color: transparent;
    selection-background-color: {t.raised}; selection-color: {t.text}; outline: none; }}
QTableView::item {{ padding: 3px 8px; border: none; }}
QTableView::item:selected {{ background: {t.raised}; color: {t.text}; }}
QHeaderView::section {{ background: {t.panel}; color: {t.muted}; border: none; border-bottom: 1px solid {t.line};
    padding: 4px 8px; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar::handle:vertical {{ background: {t.line}; border-radius: 4px; min-height: 30px; margin: 1px 2px; }}
QScrollBar::handle:vertical:hover {{ background: {t.muted}; }}
QScrollBar::handle:vertical:disabled {{ background: transparent; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
QScrollBar::handle:horizontal {{ background: {t.line}; border-radius: 4px; min-width: 30px; margin: 2px 1px; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
QScrollArea {{ border: none; background: {t.panel}; }}
QStatusBar {{ background: {t.panel}; color: {t.muted}; border-top: 1px solid {t.line}; }}
QStatusBar::item {{ border: none; }}
QStatusBar QLabel {{ color: {t.muted}; padding: 2px 8px; }}
QToolTip {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.line}; padding: 5px; }}
QFrame#banner {{ background: {t.note_ground}; border-bottom: 1px solid {t.line}; }}
QFrame#banner[error="true"] {{ background: {t.bad_ground}; border-bottom: 1px solid {t.bad}; }}
QFrame#sheet {{ background: {t.raised}; border: 1px solid {t.line}; border-radius: 10px; }}
QFrame#mode {{ background: {t.note_ground}; border-bottom: 2px solid {t.accent}; }}
QFrame#classRow {{ background: transparent; border: 1px solid transparent; border-radius: 5px; }}
QFrame#classRow:hover {{ background: {t.raised}; }}
QFrame#classRow[chosen="true"] {{ background: {t.raised}; border-color: {t.accent}; }}
QFrame#card {{ background: {t.raised}; border: 1px solid {t.line}; border-radius: 8px; }}
QFrame#card:hover {{ border-color: {t.muted}; }}
QPushButton#choice {{ padding: 6px 5px; }}
QPushButton#choice:checked {{ background: {t.accent}; color: {t.on_accent}; border-color: {t.accent}; }}
QProgressBar#thin {{ height: 4px; max-height: 4px; border-radius: 2px; }}
QProgressBar#thin::chunk {{ border-radius: 2px; }}
QFrame#chip {{ background: {t.raised}; border: 1px solid {t.line}; border-radius: 11px; }}
QLineEdit {{ background: {t.field}; color: {t.text}; border: 1px solid {t.line}; border-radius: {RADIUS}px;
    padding: 5px 9px; selection-background-color: {t.accent}; selection-color: {t.on_accent}; }}
QLineEdit:focus {{ border-color: {t.accent}; }}
QListWidget {{ background: {t.panel}; color: {t.text}; border: none; outline: none; }}
QListWidget::item {{ padding: 4px 8px; }}
QListWidget::item:hover, QListWidget::item:selected {{ background: {t.raised}; color: {t.text}; }}
QFrame#rule {{ background: {t.line}; max-height: 1px; min-height: 1px; border: none; }}
QLabel#key {{ background: {t.field}; color: {t.text}; border: 1px solid {t.line}; border-radius: 4px;
    padding: 1px 6px; }}
QMainWindow > QTabBar {{ qproperty-drawBase: 0; }}
QMainWindow > QTabBar::tab {{ background: {t.window}; color: {t.muted}; border: none; padding: 6px 12px; }}
QMainWindow > QTabBar::tab:selected {{ background: {t.panel}; color: {t.text};
    border-bottom: 2px solid {t.accent}; }}
QMainWindow > QTabBar::tab:hover {{ color: {t.text}; }}
QComboBox {{ background: {t.raised}; border: 1px solid {t.line}; border-radius: {RADIUS}px; padding: 3px 8px; }}
"""
