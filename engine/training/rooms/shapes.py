"""Plain pieces that no catalogue has: walls, boards, balls, curtains, books, and textures drawn by rule."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from engine.training.rooms.mesh import Float32, Floats, Material, Mesh, flat_mesh, merged, to_linear


def paint(name: str, r: float, g: float, b: float) -> Material:
    """A plain colour, given as sRGB in [0, 1]."""
    return Material(name, to_linear([r, g, b]))


def printed(name: str, texture: Float32) -> Material:
    """A (h, w, 3) linear texture, unchanged."""
    return Material(name, np.ones(3, np.float32), texture)


def quad(
    corner: ArrayLike, u: ArrayLike, v: ArrayLike, material: Material, repeat: tuple[float, float] = (1, 1)
) -> Mesh:
    """The parallelogram ``corner`` + [0, 1] ``u`` + [0, 1] ``v``, texture repeated along each; its front is u × v."""
    c, u, v = (np.asarray(a, np.float32) for a in (corner, u, v))
    p = np.stack([c, c + u, c + u + v, c + v])
    t = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * np.asarray(repeat, np.float32)
    index = np.array([[0, 1, 2], [0, 2, 3]])
    return flat_mesh(p[index], t[index], material)


def box(lo: ArrayLike, hi: ArrayLike, material: Material, texture_m: float = 1.0) -> Mesh:
    """An axis-aligned box; the texture repeats every ``texture_m`` metres."""
    lo, hi = np.asarray(lo, np.float32), np.asarray(hi, np.float32)
    e = np.eye(3, dtype=np.float32) * (hi - lo)
    size = (hi - lo) / texture_m
    sides = []
    for a, b in ((0, 1), (1, 2), (2, 0)):
        far = e[3 - a - b]
        sides.append(quad(lo + far, e[a], e[b], material, (size[a], size[b])))
        sides.append(quad(lo, e[b], e[a], material, (size[b], size[a])))
    return merged(sides)


def wall_with_opening(
    corner: ArrayLike, along: ArrayLike, height: float, opening: tuple[float, float, float, float], material: Material
) -> Mesh:
    """An upright wall from ``corner`` ``along`` its length, without ``opening`` (left, right, bottom, top)."""
    c, a = np.asarray(corner, np.float32), np.asarray(along, np.float32)
    length = float(np.linalg.norm(a))
    x, z = a / length, np.array([0, 0, 1], np.float32)
    left, right, bottom, top = opening
    pieces = [(0, left, 0, height), (right, length, 0, height), (left, right, top, height), (left, right, 0, bottom)]
    return merged(
        [
            quad(c + x * x0 + z * z0, x * (x1 - x0), z * (z1 - z0), material)
            for x0, x1, z0, z1 in pieces
            if x1 > x0 and z1 > z0
        ]
    )


def ball(centre: ArrayLike, radius: float, material: Material, segments: int = 20) -> Mesh:
    """A smooth-shaded sphere."""
    theta = np.linspace(0, np.pi, segments // 2 + 1)
    phi = np.linspace(0, 2 * np.pi, segments + 1)
    t, p = np.meshgrid(theta, phi, indexing="ij")
    n = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], axis=2).astype(np.float32)
    return _grid_mesh(np.asarray(centre, np.float32) + radius * n, n, material)


def curtain(corner: ArrayLike, along: ArrayLike, height: float, folds: int, depth: float, material: Material) -> Mesh:
    """A hanging cloth from ``corner`` (on the floor) ``along`` its width, in sine folds ``depth`` deep."""
    c, a = np.asarray(corner, np.float32), np.asarray(along, np.float32)
    across = np.array([-a[1], a[0], 0], np.float32) / np.linalg.norm(a)
    s = np.linspace(0, 1, 16 * folds + 1, dtype=np.float32)
    phase = 2 * np.pi * folds * s
    line = s[:, None] * a + (depth / 2 * np.sin(phase))[:, None] * across
    slope = a + (depth * np.pi * folds * np.cos(phase))[:, None] * across
    n = np.cross(slope, [0, 0, 1.0])
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    rows = np.array([0, height], np.float32)[:, None, None] * np.array([0, 0, 1], np.float32)
    return _grid_mesh(c + line[None] + rows, np.broadcast_to(n.astype(np.float32), (2, *n.shape)), material)


def _grid_mesh(pos: Floats, normal: Float32, material: Material) -> Mesh:
    """(R, C, 3) grid points and normals to a mesh, uv along the grid."""
    r, c = pos.shape[:2]
    v, u = np.meshgrid(np.linspace(0, 1, r), np.linspace(0, 1, c), indexing="ij")
    uv = np.stack([u, v], axis=2).reshape(-1, 2).astype(np.float32)
    i, j = (a.ravel() for a in np.meshgrid(np.arange(r - 1), np.arange(c - 1), indexing="ij"))
    a, b, d, e = i * c + j, i * c + j + 1, (i + 1) * c + j, (i + 1) * c + j + 1
    index = np.concatenate([np.stack([a, b, e], axis=1), np.stack([a, e, d], axis=1)])
    p, n = pos.reshape(-1, 3).astype(np.float32), normal.reshape(-1, 3).astype(np.float32)
    return Mesh(p[index], n[index], uv[index], np.zeros(len(index), np.int32), (material,))


def books(width: float, depth: float, height: float, rng: np.random.Generator) -> Mesh:
    """A row of books along x from 0 to at most ``width``, spines towards -y at y = 0, none taller than ``height``."""
    colours = [
        (0.55, 0.16, 0.13), (0.13, 0.23, 0.36), (0.80, 0.68, 0.42), (0.20, 0.36, 0.28), (0.86, 0.82, 0.74),
        (0.72, 0.38, 0.16), (0.30, 0.20, 0.24), (0.42, 0.52, 0.56), (0.17, 0.17, 0.19), (0.66, 0.55, 0.50),
    ]  # fmt: skip
    row, x = [], 0.0
    while True:
        thick = rng.uniform(0.028, 0.052)
        if x + thick > width:
            return merged(row)
        tall, deep = height * rng.uniform(0.72, 0.98), depth * rng.uniform(0.8, 1.0)
        cover = paint("cover", *colours[rng.integers(len(colours))])
        row.append(box([x, depth - deep, 0], [x + thick - 0.002, depth, tall], cover))
        x += thick


def framed(width: float, height: float, art: Material, frame: Material, rim: float = 0.035) -> Mesh:
    """A picture in the x-z plane about the origin, facing -y, its back at y = 0."""
    w, h = width / 2, height / 2
    bars = [
        box([-w, -0.03, h - rim], [w, 0, h], frame),
        box([-w, -0.03, -h], [w, 0, rim - h], frame),
        box([-w, -0.03, rim - h], [rim - w, 0, h - rim], frame),
        box([w - rim, -0.03, rim - h], [w, 0, h - rim], frame),
    ]
    inner = quad([rim - w, -0.015, rim - h], [width - 2 * rim, 0, 0], [0, 0, height - 2 * rim], art)
    return merged([inner, *bars])


def smooth_noise(shape: tuple[int, int], cells: tuple[int, int], rng: np.random.Generator) -> Float32:
    """(h, w) value noise in [0, 1], repeating: random values at ``cells``, cubic blend between."""
    h, w = shape
    grid = rng.random(cells)
    y, x = np.arange(h) * cells[0] / h, np.arange(w) * cells[1] / w
    y0, x0 = y.astype(int), x.astype(int)
    fy, fx = ((f * f * (3 - 2 * f)) for f in (y - y0, x - x0))
    a, b = (
        grid[np.ix_(k % cells[0], x0)] * (1 - fx) + grid[np.ix_(k % cells[0], (x0 + 1) % cells[1])] * fx
        for k in (y0, y0 + 1)
    )
    return (a * (1 - fy[:, None]) + b * fy[:, None]).astype(np.float32)


def planks(rng: np.random.Generator, texel: float = 0.01, size: float = 2.4, board: float = 0.12) -> Float32:
    """A repeating (size / texel)² floor of oak boards along the texture's x, joints staggered."""
    n = round(size / texel)
    rows = round(size / board)
    wide = n // rows
    tone = np.zeros((n, n), np.float32)
    for row in range(rows):
        cuts = np.sort((rng.integers(n) + np.array([0, n // 2]) + rng.integers(-n // 10, n // 10, 2)) % n)
        shade = rng.normal(0, 1, 2)
        line = np.where((np.arange(n) >= cuts[0]) & (np.arange(n) < cuts[1]), shade[0], shade[1])
        line[cuts] = -3.2
        band = np.repeat(line[None], wide, axis=0)
        band[0] = np.minimum(band[0], -2.4)
        tone[row * wide : (row + 1) * wide] = band
    grain = smooth_noise((n, n), (60, 8), rng) - 0.5 + 0.6 * (smooth_noise((n, n), (120, 20), rng) - 0.5)
    light = 1 + 0.075 * tone + 0.16 * grain
    return (to_linear([0.72, 0.54, 0.37]) * light[..., None].clip(0.4, 1.5)).astype(np.float32)


def wood(rng: np.random.Generator, colour: tuple[float, float, float], n: int = 96) -> Float32:
    """Soft grain along the texture's x in an sRGB ``colour``."""
    grain = smooth_noise((n, n), (18, 3), rng) - 0.5 + 0.5 * (smooth_noise((n, n), (40, 6), rng) - 0.5)
    return (to_linear(colour) * (1 + 0.35 * grain[..., None])).astype(np.float32)


def weave(rng: np.random.Generator, colour: tuple[float, float, float], n: int = 64) -> Float32:
    """Mottled cloth in an sRGB ``colour``."""
    mottle = smooth_noise((n, n), (24, 24), rng) - 0.5 + 0.7 * (smooth_noise((n, n), (8, 8), rng) - 0.5)
    return (to_linear(colour) * (1 + 0.22 * mottle[..., None])).astype(np.float32)


def hills(rng: np.random.Generator, height: int = 96, width: int = 128) -> Float32:
    """A picture: layered hills at dusk under a low sun (first row at the bottom)."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    image = (
        to_linear([0.96, 0.80, 0.58]) + (to_linear([0.47, 0.62, 0.72]) - to_linear([0.96, 0.80, 0.58])) * y[..., None]
    )
    sun = np.hypot((x - 0.68) * width / height, y - 0.66) < 0.12
    image[sun] = to_linear([0.98, 0.93, 0.80])
    far, near = to_linear([0.62, 0.58, 0.62]), to_linear([0.13, 0.22, 0.25])
    for k in range(5):
        ridge = (
            0.58
            - 0.12 * k
            + 0.07 * np.sin(2 * np.pi * (x * (1 + 0.6 * k) + rng.random()))
            + 0.03 * np.sin(2 * np.pi * (x * (3.3 + k) + rng.random()))
        )
        image[y < ridge] = far + (near - far) * k / 4
    return image.astype(np.float32)


def discs(rng: np.random.Generator, height: int = 128, width: int = 96) -> Float32:
    """A picture: overlapping discs and arcs in earth colours on cream."""
    y, x = np.mgrid[0 : height / width : height * 1j, 0 : 1 : width * 1j]
    image = np.broadcast_to(to_linear([0.93, 0.89, 0.80]), (height, width, 3)).copy()
    palette = [(0.78, 0.36, 0.20), (0.16, 0.27, 0.33), (0.87, 0.66, 0.28), (0.45, 0.52, 0.40), (0.63, 0.22, 0.20)]
    for k, colour in enumerate(palette):
        cx, cy, r = rng.uniform(0.25, 0.75), rng.uniform(0.25, height / width - 0.25), rng.uniform(0.12, 0.30)
        d = np.hypot(x - cx, y - cy)
        image[(d < r) & ((d > 0.6 * r) | (k % 2 == 0))] = to_linear(colour)
    return image


def garden(height: int = 96, width: int = 96) -> Float32:
    """What is outside the window, out of focus: sky above far trees above lawn (first row at the bottom)."""
    y = np.linspace(0, 1, height)[:, None, None]
    x = np.linspace(0, 1, width)[None, :, None]
    sky, trees, lawn = to_linear([0.86, 0.93, 1.0]), to_linear([0.50, 0.64, 0.45]), to_linear([0.72, 0.80, 0.52])
    edge = 0.52 + 0.06 * np.sin(7 * x) + 0.04 * np.sin(17 * x + 1)
    above = 1 / (1 + np.exp(-(y - edge) * 30))
    below = 1 / (1 + np.exp((y - 0.25) * 30))
    return (sky * above + trees * (1 - above) * (1 - below) + lawn * below * (1 - above)).astype(np.float32)
