"""``condense train`` as a process that is killed, and one that goes on from what it left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.training.checkpoint import STATE_FILE, load_state
from tests.conftest import write_tiny_capture

SETTINGS = {
    "steps": 12, "validate_every": 3, "frozen": 0.5, "warm_up": 2, "correspondences": 48, "lift_views": 2, "pairs": 8,
    "cells": 40_000, "volume": {"widths": [8, 8, 8]},
}  # fmt: skip


def command(capture: Path, out: Path, *more: str | Path) -> list[str]:
    return [str(x) for x in (sys.executable, "-m", "app", "train", capture, "--out", out, "--device", "cpu", *more)]


def history(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / "metrics.json").read_text())["history"]


@pytest.mark.slow
def test_after_kill_9_a_training_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    capture = write_tiny_capture(tmp_path / "tiny", width=160, height=120)
    config, whole, broken = (tmp_path / name for name in ("config.json", "whole", "broken"))
    config.write_text(json.dumps(SETTINGS))
    subprocess.run(command(capture, whole, "--config", config), check=True, capture_output=True, timeout=200)

    process = subprocess.Popen(
        command(capture, broken, "--config", config), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    patience = time.monotonic() + 200
    while not (broken / STATE_FILE).is_file():
        assert process.poll() is None
        assert time.monotonic() < patience
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (broken / "metrics.json").exists()
    assert 0 < load_state(broken / STATE_FILE).step < SETTINGS["steps"]

    subprocess.run(command(capture, broken, "--resume"), check=True, capture_output=True, timeout=200)
    assert history(broken) == history(whole)
    found, want = load_file(broken / STATE_FILE), load_file(whole / STATE_FILE)
    assert all(torch.equal(found[k], want[k]) for k in want)
