"""The window: PySide6 and VisPy over ``engine.api``. Nothing here imports torch."""
