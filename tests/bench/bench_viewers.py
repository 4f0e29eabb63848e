"""Frame times of a turning point cloud: our window beside Open3D's and PyVista's. Prints one JSON object::

    python -m tests.bench.bench_viewers --points 100000 500000 1000000 5000000

A bumpy ball of coloured points, turned by three degrees a frame; a frame ends when it is drawn. Every viewer has a
process of its own on the same display (a virtual one where there is none), a canvas of the size of ours, round sprites
or squares some three pixels wide, and the same file. Ours opens at most 1.5 million points of a file and draws those.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FRAMES, SLOW_S = 20, 20.0
"""Frames of each cloud after two to warm up, or as many as fit into so many seconds."""
VIEWERS = ("ours", "open3d", "pyvista")
POINT_PX = 3


def write_cloud(path: Path, count: int) -> None:
    """A binary PLY of ``count`` points."""
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radius = 1 + 0.1 * np.sin(8 * direction[:, 0]) * np.sin(8 * direction[:, 1])
    kind = [("pos", "<f4", 3), ("rgb", "u1", 3)]
    rows = np.zeros(count, kind)
    rows["pos"], rows["rgb"] = radius[:, None] * direction, (direction * 100 + 128).astype(np.uint8)
    names = "".join(f"property float {a}\n" for a in "xyz") + "".join(f"property uchar {a}\n" for a in _COLOURS)
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n{names}end_header\n"
    path.write_bytes(head.encode() + rows.tobytes())


_COLOURS = ("red", "green", "blue")


def timed(frame: Callable[[], None]) -> list[float]:
    """Milliseconds of each of some frames."""
    frame()
    frame()
    ms: list[float] = []
    end = time.perf_counter() + SLOW_S
    while len(ms) < FRAMES and (time.perf_counter() < end or not ms):
        begin = time.perf_counter()
        frame()
        ms.append((time.perf_counter() - begin) * 1e3)
    return ms


def ours(path: Path, _size: tuple[int, int]) -> dict[str, Any]:
    """Our window."""
    from PySide6.QtWidgets import QApplication

    from app.__main__ import make_engine
    from app.bench_window import live, until
    from app.settings import Settings
    from app.window import Window
    from engine.cli_common import Common

    with tempfile.TemporaryDirectory() as folder:
        app = QApplication([])
        engine = make_engine(Common(cache=Path(folder)), spare_core=True)
        window = Window(engine, Settings(Path(folder) / "window.ini"), str(path))
        window.resize(1600, 1000)
        window.show()
        until(app, window, lambda s: s.scene is not None, "opening")
        until(app, window, lambda _: window.canvas.renderer is not None, "drawing")
        live(app, 2.0)
        canvas, drawn = window.canvas, [0]
        canvas.drawn.connect(lambda _: drawn.__setitem__(0, drawn[0] + 1))

        def frame() -> None:
            before = drawn[0]
            canvas.pointer.rotated.emit(6.0, 0.0)
            while drawn[0] == before:
                app.processEvents()

        ms = timed(frame)
        widget, renderer = canvas.widget, canvas.renderer
        assert renderer is not None
        assert renderer.points.pos_w is not None
        found = {"ms": ms, "size": [widget.width(), widget.height()], "drawn": len(renderer.points.pos_w)}
        window.close()
        return found


def open3d(path: Path, size: tuple[int, int]) -> dict[str, Any]:
    """Open3D's window."""
    import open3d as o3d

    cloud = o3d.io.read_point_cloud(str(path))
    viewer: Any = o3d.visualization.Visualizer()
    if not viewer.create_window(width=size[0], height=size[1]):
        raise RuntimeError("no window")
    viewer.add_geometry(cloud)
    viewer.get_render_option().point_size = POINT_PX

    def frame() -> None:
        viewer.get_view_control().rotate(6.0, 0.0)
        viewer.poll_events()
        viewer.update_renderer()

    return {"ms": timed(frame), "size": list(size), "drawn": len(cloud.points)}


def pyvista(path: Path, size: tuple[int, int]) -> dict[str, Any]:
    """PyVista's window."""
    import pyvista as pv

    cloud: Any = pv.read(path)
    plotter: Any = pv.Plotter(window_size=list(size), off_screen=True)
    plotter.add_points(cloud, scalars="RGB" if "RGB" in cloud.array_names else None, rgb=True, point_size=POINT_PX)
    plotter.show(auto_close=False, interactive=False)

    def frame() -> None:
        plotter.camera.azimuth += 3
        plotter.render()

    return {"ms": timed(frame), "size": list(size), "drawn": cloud.n_points}


def measured(viewer: str, path: Path, size: tuple[int, int]) -> dict[str, Any]:
    """One viewer in a process of its own; ``absent`` says why it could not be measured."""
    command = [sys.executable, "-m", "tests.bench.bench_viewers", "--one", viewer, str(path), *map(str, size)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:  # a viewer may crash as it closes; what it said before counts
        return {"absent": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:200]}
    found = json.loads(lines[-1])
    ms = found.pop("ms")
    p50, p95 = (round(float(np.percentile(ms, q)), 1) for q in (50, 95))
    return {**found, "p50_ms": p50, "p95_ms": p95, "frames": len(ms)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[100_000, 500_000, 1_000_000, 5_000_000])
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        viewer, path, width, height = args.one
        kind = {"ours": ours, "open3d": open3d, "pyvista": pyvista}[viewer]
        print(json.dumps(kind(Path(path), (int(width), int(height)))), flush=True)
        return
    from app.display import virtual_display

    rows: list[dict[str, Any]] = []
    with virtual_display(), tempfile.TemporaryDirectory() as folder:
        size = (1280, 720)
        for count in args.points:
            path = Path(folder) / f"{count}.ply"
            write_cloud(path, count)
            for viewer in VIEWERS:
                if viewer != "ours" and importlib.util.find_spec(viewer) is None:
                    rows.append({"viewer": viewer, "points": count, "absent": "is not installed"})
                    continue
                found = measured(viewer, path, size)
                size = tuple(found["size"]) if viewer == "ours" and "size" in found else size
                rows.append({"viewer": viewer, "points": count, **found})
            path.unlink()
    print(json.dumps({"rows": rows, "size": list(size)}))


if __name__ == "__main__":
    main()
