"""``condense index|search|localize``: from arguments to the object that ``--json`` prints."""

from __future__ import annotations

import math
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from engine.api.errors import CaptureError, CondenseError, QueryError, RepositoryError
from engine.api.scene import Float32
from engine.captures import open_capture
from engine.captures.photos import image_size
from engine.driving import run_job
from engine.features import encoders_id
from engine.repository.align import Alignment
from engine.repository.answers import check_words
from engine.repository.cli import Align, Duplicates, IndexAdd, IndexList, IndexRemove, Localize, Search
from engine.repository.many import outcomes
from engine.repository.photo import describe_photo, read_photo
from engine.repository.pose import Pose
from engine.repository.scenes import SceneRow
from engine.repository.search import CONFIDENT, Alike, Describe, Ranked, Repository, find_photo
from engine.repository.shortlist import build_index, index_due
from engine.repository.store import open_store

MOST_FOCAL = 1e6


def run(command: Any) -> dict[str, Any]:
    """Run one of these commands."""
    match command:
        case IndexAdd():
            return add(command)
        case IndexRemove():
            return remove(command)
        case IndexList():
            return listed(command.repository)
        case Search():
            return search(command)
        case Localize():
            return localize(command)
        case Duplicates():
            return duplicates(command)
        case Align():
            return align_geometries(command)
        case _:
            raise QueryError(f"there is no command '{type(command).__name__}'")


def add(command: IndexAdd) -> dict[str, Any]:
    """Add captures, each whole or not at all; one that cannot be added is told and passed over.

    Raises:
        QueryError: no captures are named, or no workers.
        CondenseError: not one of them could be added, or the repository cannot be written.
    """
    if not command.captures:
        raise QueryError("no captures to add", expected="condense index add REPO CAPTURE…")
    if command.workers < 1:
        raise QueryError("nobody to add them", found=f"--workers {command.workers}", expected="1 or more")
    store = open_store(command.repository, make=True)
    added: list[str] = []
    passed: list[str] = []
    failed: list[dict[str, str]] = []
    first: CondenseError | None = None
    with closing(outcomes(command, list(dict.fromkeys(command.captures)))) as told:
        for outcome in told:
            if outcome.error is not None:
                error = outcome.raised()
                if outcome.fatal:
                    raise error  # the next will fare no better
                print(f"warning: {error.text()}", file=sys.stderr)
                failed.append({"capture": outcome.path, "why": error.what})
                first = first or error
            elif outcome.name is not None:
                (added if outcome.added else passed).append(outcome.name)
    if first is not None and not added and not passed:
        raise first
    if index_due(store):
        run_job("Indexing keypoints", build_index(store, command.seed))
    return {"added": added, "passed_over": passed, "failed": failed, "scenes": store.count()}


def remove(command: IndexRemove) -> dict[str, Any]:
    """Take scenes out by name or path.

    Raises:
        QueryError: one of them is not there, or its name is not the only one; nothing is removed then.
    """
    store = open_store(command.repository)
    rows = store.rows()
    chosen = [_named(rows, scene, command.repository) for scene in command.scenes]
    for id in dict.fromkeys(chosen):
        store.remove(id)
    return {"removed": len(set(chosen)), "scenes": len(rows) - len(set(chosen))}


def listed(folder: str) -> dict[str, Any]:
    """The scenes of a repository, and how large it is."""
    store = open_store(folder)
    rows = store.rows()
    size = store.size()
    scenes = [{"name": r.name, "path": r.path, "keypoints": r.keypoints, "weights": r.weights} for r in rows]
    return {"scenes": scenes, "bytes": size, "bytes_per_scene": round(size / len(rows)) if rows else None}


def search(command: Search) -> dict[str, Any]:
    """Scenes for a photo, for words, or like another one.

    Raises:
        QueryError: none or several of these are given, or words that mean nothing here.
    """
    if sum(given is not None for given in (command.image, command.text, command.scene)) != 1:
        expected = '--image PHOTO, --text "words" or --scene NAME'
        raise QueryError("nothing to search by, or several things", expected=expected)
    if command.count < 1:
        raise QueryError("so few results cannot be had", found=str(command.count), expected="1 or more")
    repository = _opened(command.repository)
    if command.text is not None:
        return _by_words(repository, command.text, command.count)
    if command.scene is not None:
        scene = repository.store.load(_named(repository.rows, command.scene, command.repository))
        return _by_scene(repository.by_scene(scene, command.seed)[: command.count])
    assert command.image is not None
    ranked = _ranked(repository, command.image, command)
    best = ranked[0].confidence if ranked else 0.0
    results = [
        {"scene": r.row.name, "path": r.row.path, "score": round(r.score, 4), "confidence": round(r.confidence, 4),
         **_pose(r.pose), "pos_w": None}
        for r in ranked[: command.count]
    ]  # fmt: skip
    return {"results": results, "rejected": best < CONFIDENT}


def localize(command: Localize) -> dict[str, Any]:
    """The best scene for a photo, and its camera.

    Raises:
        QueryError: the photo shows no scene of the repository.
    """
    ranked = _ranked(_opened(command.repository), command.photo, command)
    if not ranked or ranked[0].confidence < CONFIDENT or ranked[0].pose is None:
        inliers = ranked[0].pose.count if ranked and ranked[0].pose else 0
        raise QueryError(
            "the photo shows none of these scenes", path=command.photo,
            found=f"{inliers} keypoints that agree on a camera in the best of them",
            mend="try a photo that shows more of a scene, or add the scene: condense index add",
        )  # fmt: skip
    best = ranked[0]
    return {"scene": best.row.name, "path": best.row.path, "confidence": round(best.confidence, 4), **_pose(best.pose)}


def duplicates(command: Duplicates) -> dict[str, Any]:
    """All pairs of scenes of one place."""
    found = run_job("Comparing scenes", Repository(open_store(command.repository)).duplicates(command.seed))
    pairs = [
        {"a": d.a.name, "b": d.b.row.name, "a_path": d.a.path, "b_path": d.b.row.path, "score": round(d.b.score, 4),
         "confidence": round(d.b.confidence, 4), **_alignment(d.b.alignment)}
        for d in found
    ]  # fmt: skip
    return {"pairs": pairs}


def align_geometries(command: Align) -> dict[str, Any]:
    """How the points of one capture lie among those of another.

    Raises:
        CaptureError: one of them cannot be read, or has no points.
        QueryError: they fit together nowhere.
        RepositoryError: too few points.
    """
    from engine.repository.geometric import align_points

    points: list[Float32] = []
    for path in (command.source, command.target):
        capture = open_capture(Path(path))
        if capture.points is None:
            mend = "give bare geometry, or a capture with sparse points"
            raise CaptureError("there are no points to align", path=capture.path, found=capture.format, mend=mend)
        points.append(capture.points.pos_w)
    found = align_points(points[0], points[1], command.seed)
    if found is None:
        raise QueryError("the two fit together nowhere", path=command.source, found=command.target)
    return {"a_to_b": found.a_to_b.tolist(), "overlap": round(found.overlap, 4), "rms_w": found.rms_w}


def _by_scene(found: list[Alike]) -> dict[str, Any]:
    results = [
        {"scene": a.row.name, "path": a.row.path, "score": round(a.score, 4), "confidence": round(a.confidence, 4),
         "pose_c2w": None, "pos_w": None, **_alignment(a.alignment)}
        for a in found
    ]  # fmt: skip
    return {"results": results, "rejected": not found or found[0].confidence < CONFIDENT}


def _alignment(alignment: Alignment | None) -> dict[str, Any]:
    if alignment is None:
        return {"inliers": 0, "overlap": None, "changed": None, "ambiguous": None, "a_to_b": None}
    return {
        "inliers": alignment.count, "overlap": round(alignment.overlap, 4), "changed": alignment.changed,
        "ambiguous": alignment.ambiguous, "a_to_b": alignment.a_to_b.tolist(),
    }  # fmt: skip


def _named(rows: list[SceneRow], scene: str, folder: str) -> int:
    """Id of a scene.

    Raises:
        QueryError: it is not there, or its name is not the only one.
    """
    fits = [r for r in rows if scene in (r.name, r.path) or str(Path(scene).absolute()) == r.path]
    if len(fits) != 1:
        found = "none" if not fits else ", ".join(r.path for r in fits)
        raise QueryError(f"no one scene is '{scene}'", path=folder, found=found, mend="give its path")
    return fits[0].id


def _opened(folder: str) -> Repository:
    repository = Repository(open_store(folder))
    if not repository.rows:
        raise RepositoryError("the repository is empty", path=folder, mend="add captures: condense index add")
    return repository


def _ranked(repository: Repository, path: Path, command: Search | Localize) -> list[Ranked]:
    describe = _describer(path, command, repository)
    _, ranked = run_job(f"Looking for {path.name}", find_photo(repository, describe, command.seed))
    return ranked


def _describer(path: Path, command: Search | Localize, repository: Repository) -> Describe:
    from engine.encoders import load_encoder
    from engine.keypoints.network import load_keypoints
    from engine.runtime import resolve_device

    if command.focal is not None and not 1 <= command.focal <= MOST_FOCAL:
        raise QueryError("no such focal length", found=f"{command.focal}", expected="pixels, such as 1200")
    rgb, focal = read_photo(path)
    if command.focal is not None and math.isfinite(command.focal):
        focal = command.focal * max(rgb.shape[:2]) / max(image_size(path))
    device = resolve_device(command.device)
    encoder = load_encoder(command.encoder, device)
    repository.check_weights(encoders_id(encoder))
    return partial(describe_photo, rgb, focal, encoder, load_keypoints(device))


def _by_words(repository: Repository, text: str, count: int) -> dict[str, Any]:
    from engine.prompting import vocabularies

    known = vocabularies()
    check_words(text, known)
    found = repository.by_words(text, known)
    results = [
        {"scene": w.row.name, "path": w.row.path, "score": round(w.score, 4), "inliers": None, "pose_c2w": None,
         "pos_w": list(w.places[0].pos_w), "name": w.places[0].name}
        for w in found[:count]
    ]  # fmt: skip
    return {"results": results, "rejected": not found}


def _pose(pose: Pose | None) -> dict[str, Any]:
    if pose is None:
        return {"inliers": 0, "pose_c2w": None, "focal": None, "ambiguous": None}
    focal = float(pose.camera.intrinsics[0, 0])
    c2w = pose.camera.c2w.tolist()
    return {"inliers": pose.count, "pose_c2w": c2w, "focal": round(focal, 2), "ambiguous": pose.ambiguous}
