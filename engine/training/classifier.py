"""An image classifier in TensorFlow Lite's format, as a teacher: never part of the program that users run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.api.errors import ResourceError, WeightsError
from engine.api.scene import UInt8


class ImageClassifier:
    """Class probabilities of square pictures, by a quantised network with one input and one output.

    Args:
        file: the .tflite file.

    Raises:
        ResourceError: the package that runs it is not installed.
        WeightsError: no such file, or another kind of network.
    """

    def __init__(self, file: Path) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as e:
            raise ResourceError(
                "the classifier cannot be run", found=str(e), mend="pip install ai-edge-litert, or leave --classifier"
            ) from e
        if not file.is_file():
            raise WeightsError("there is no such classifier", path=file, expected=".tflite", mend="check the path")
        try:
            self._network: Any = Interpreter(model_path=str(file), num_threads=1)
            self._network.allocate_tensors()
            (self._input,), (self._output,) = self._network.get_input_details(), self._network.get_output_details()
            _, self._side, width, channels = self._input["shape"]
            if width != self._side or channels != 3 or self._input["dtype"] != np.uint8:
                raise ValueError(f"input {self._input['shape']} {self._input['dtype']}")
        except (ValueError, RuntimeError) as e:
            raise WeightsError(
                "this is no such classifier",
                path=file,
                found=str(e)[:120],
                expected="one square RGB image of bytes in, class scores out",
                mend="choose mobilenet_v2_1.0_224_quant.tflite",
            ) from e

    def probabilities(self, rgb: UInt8) -> NDArray[np.float32]:
        """(classes,) that sum to one, of a picture (h, w, 3)."""
        picture = cv2.resize(rgb, (int(self._side), int(self._side)), interpolation=cv2.INTER_AREA)
        self._network.set_tensor(self._input["index"], picture[None])
        self._network.invoke()
        scale, zero = self._output["quantization"]
        scores = (self._network.get_tensor(self._output["index"])[0].astype(np.float32) - zero) * (scale or 1)
        return scores / max(float(scores.sum()), 1e-9)
