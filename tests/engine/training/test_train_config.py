"""Training settings: defaults, round trip, and clear errors for files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.api.errors import CaptureError
from engine.training.config import LossWeights, TrainConfig, read_config


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    config = TrainConfig.of({"steps": 7, "weights": {"anchor": 0}, "volume": {"widths": [8, 16]}})
    assert config.steps == 7
    assert config.weights == LossWeights(anchor=0)
    assert config.volume.widths == (8, 16)
    file = tmp_path / "c.json"
    file.write_text(json.dumps(config.to_json()))
    assert read_config(file) == config


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"stepps": 3}',
        '{"steps": "3"}',
        '{"steps": 0}',
        '{"steps": 1.5}',
        '{"steps": true}',
        '{"rate": -1}',
        '{"rate": NaN}',
        '{"average": 1.0}',
        '{"weights": {"anchr": 1}}',
        '{"weights": {"anchor": -1}}',
        '{"weights": 3}',
        '{"volume": {"widths": []}}',
        '{"volume": {"widths": [99999, 99999]}}',
    ],
)
def test_files_that_are_no_settings_are_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.json"
    file.write_text(text)
    with pytest.raises(CaptureError, match=r"c\.json"):
        read_config(file)
