"""``condense train`` over several processes: the losses of one, and what happens when one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from engine.training.checkpoint import STATE_FILE, load_state
from tests.conftest import write_tiny_capture

pytest.importorskip("lightning_fabric")

SETTINGS = {
    "steps": 6, "batch": 2, "validate_every": 1, "frozen": 0.5, "bare": 0.2, "warm_up": 2, "correspondences": 48,
    "lift_views": 2, "pairs": 8, "cells": 40_000, "volume": {"widths": [8, 8, 8]},
}  # fmt: skip
TOLERANCE = 1e-4
"""Relative, of losses: sums in another order, after six updates."""

APP = (sys.executable, "-m", "app")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "app")


def command(start: tuple[str, ...], capture: Path, out: Path, *more: str | Path) -> list[str]:
    return [str(x) for x in (*start, "train", capture, "--out", out, "--device", "cpu", "--threads", 1, *more)]


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=250)


def history(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / "metrics.json").read_text())["history"]


def assert_same_training(found: Path, want: Path) -> None:
    losses = [[row["loss"] for row in history(out)] for out in (found, want)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=TOLERANCE)
    a, b = load_file(found / STATE_FILE), load_file(want / STATE_FILE)
    assert a.keys() == b.keys()
    for name, tensor in b.items():
        scale = float(tensor.abs().max()) + 1e-6
        np.testing.assert_allclose(a[name].numpy(), tensor.numpy(), atol=1e-3 * scale, err_msg=name)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_capture(tmp_path_factory.mktemp("devices") / "tiny", width=160, height=120)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "config.json"
    path.write_text(json.dumps(SETTINGS))
    return path


@pytest.fixture(scope="module")
def whole(capture: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By one process."""
    out = tmp_path_factory.mktemp("whole")
    run(command(APP, capture, out, "--config", config))
    return out


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_doubled_batch(
    whole: Path, capture: Path, config: Path, tmp_path: Path
) -> None:
    done = run(command(TORCHRUN, capture, tmp_path, "--config", config, "--json"))
    answer = json.loads(done.stdout)  # one process speaks
    assert (answer["steps"], answer["devices"]) == (SETTINGS["steps"], 2)
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1
    assert_same_training(tmp_path, whole)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes by /proc")
@pytest.mark.parametrize("devices", ["1", "2"])
def test_one_is_killed_and_any_number_goes_on(
    whole: Path, capture: Path, config: Path, tmp_path: Path, devices: str
) -> None:
    process = subprocess.Popen(
        command(APP, capture, tmp_path, "--config", config, "--devices", "2"), stderr=subprocess.PIPE, text=True
    )
    patience = time.monotonic() + 200
    while not (tmp_path / STATE_FILE).is_file():
        assert process.poll() is None
        assert time.monotonic() < patience
        time.sleep(0.01)
    workers = [pid for pid in children(process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) == 2
    os.kill(workers[int(devices) - 1], signal.SIGKILL)  # the first, which writes, or the other one
    error = process.communicate(timeout=100)[1]
    assert process.returncode == 2
    assert f"process {devices} of 2 is gone" in error
    assert "SIGKILL" in error
    assert "--resume" in error
    assert "Traceback" not in error
    assert 0 < load_state(tmp_path / STATE_FILE).step < SETTINGS["steps"]
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)

    run(command(APP, capture, tmp_path, "--resume", "--devices", devices))
    assert_same_training(tmp_path, whole)


def children(pid: int) -> list[int]:
    return sorted(int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


@pytest.mark.slow
def test_what_a_process_cannot_read_is_said_once(tmp_path: Path) -> None:
    done = subprocess.run(
        command(APP, tmp_path / "nothing", tmp_path / "out", "--devices", "2"),
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("there is no such file or folder") == 1
    assert "Traceback" not in done.stderr
