"""Writers that are killed, two at a time, and a disk that fills up: what was said to be added is there, whole."""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from engine.api.errors import RepositoryError
from engine.repository.store import open_store
from tests.engine.repository.made import consistent
from tests.engine.repository.writing import scene, write

needs_fork = pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")


def writer(folder: Path, number: int) -> tuple[BaseProcess, Path]:
    """A process that writes scenes from ``1000 * number`` on, and what it tells."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.engine.repository.writing"])
    log = folder / f"{number}.log"
    log.touch()
    run = context.Process(target=write, args=(folder, log, 1000 * number, 1000 * number + 999))
    run.start()
    return run, log


def told(log: Path) -> dict[str, set[int]]:
    """Scenes by what was said of them; a line that was cut off says nothing."""
    lines = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return {sign: {int(line[1:]) for line in lines if line[0] == sign} for sign in "+?-"}


def whole(folder: Path) -> set[int]:
    """Numbers of all scenes, each of which was read whole and compared."""
    store = open_store(folder)
    numbers = {row.id: int(row.name.split()[1]) for row in store.rows()}
    for id, n in numbers.items():
        made, there = scene(n), store.load(id)
        assert (there.codes == made.codes).all()
        assert there.places == made.places
    assert store.codebook() is None or consistent(store)
    return set(numbers.values())


@needs_fork
def test_two_writers_take_turns(tmp_path: Path) -> None:
    write(tmp_path, tmp_path / "0.log", 0, 8)
    context = multiprocessing.get_context("forkserver")
    logs = [tmp_path / "1.log", tmp_path / "2.log"]
    runs = [context.Process(target=write, args=(tmp_path, log, 100 * n, 100 * n + 15)) for n, log in enumerate(logs, 1)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(120)
        assert run.exitcode == 0
    expected = {n for n in (*range(8), *range(100, 115), *range(200, 215)) if n % 7 != 3}
    assert whole(tmp_path) == expected


@needs_fork
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_any_moment_what_was_said_to_be_added_is_there(tmp_path: Path) -> None:
    """Fifty kills; two write at any time, and the other one goes on while one is killed, but for every 25th time."""
    rng = random.Random(0)
    must, may = set[int](), set[int]()

    def kill(writing: tuple[BaseProcess, Path]) -> None:
        run, log = writing
        run.kill()
        run.join()
        said = told(log)
        must.update(said["+"] - said["?"])
        may.update(said["?"] - said["-"], {max(said["+"], default=1000 * int(log.stem) - 1) + 1})  # it was about these

    running = writer(tmp_path, 0)
    for number in range(1, 51):
        beside = writer(tmp_path, number)
        while not beside[1].stat().st_size and beside[0].is_alive():
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.15))
        kill(running)
        there = {int(r.name.split()[1]) for r in open_store(tmp_path).rows()}
        assert must <= there
        assert {n for n in there if n < 1000 * number} <= must | may
        if number % 25 == 0:
            kill(beside)
            assert must <= whole(tmp_path) <= must | may
            beside = writer(tmp_path, 1000 + number)
        running = beside
    kill(running)
    assert must <= whole(tmp_path) <= must | may
    assert len(must) > 100


@pytest.mark.skipif(sys.platform != "linux", reason="a file system of a few pages is mounted")
def test_a_disk_that_is_full_says_so_and_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no right to mount")
    try:
        store = open_store(disk / "repo", make=True)
        with pytest.raises(RepositoryError, match="free some space") as e:
            list(map(store.add, map(scene, range(100))))
        assert str(disk) in e.value.text()
        there = whole(disk / "repo")
        assert there == set(range(len(there)))
        assert len(there) > 3
    finally:
        subprocess.run(["umount", disk], check=True)
