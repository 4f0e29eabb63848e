"""The embedded encoders: geometry of the map, linearity of the head, and the trunk against an independent one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from scipy.ndimage import gaussian_filter
from transformers import MobileNetV2Config, MobileNetV2Model

from engine.api.errors import QueryError, WeightsError
from engine.api.jobs import finish
from engine.encoders import encoder_names, load_encoder
from engine.encoders.hypercolumn import Level
from engine.encoders.layout import pad_mirrored, working_size
from engine.encoders.mobile import HEAD_FILE, SMOOTH, TRUNK_FILE, MobileEncoder
from engine.encoders.mobilenet import MobileNetV2
from engine.runtime import asset_path
from engine.training.trunk import convert_trunk

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def raw() -> MobileEncoder:
    encoder = load_encoder("raw", CPU)
    assert isinstance(encoder, MobileEncoder)
    return encoder


@pytest.fixture(scope="module")
def default() -> MobileEncoder:
    encoder = load_encoder("default", CPU)
    assert isinstance(encoder, MobileEncoder)
    return encoder


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth random colours."""
    coarse = torch.from_numpy(np.random.default_rng(seed).random((1, 3, height // 8 + 2, width // 8 + 2)))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (fine[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def test_the_embedded_encoders_are_listed() -> None:
    assert encoder_names() == ("default", "raw")


@pytest.mark.parametrize(
    ("shape", "cells"),
    [((336, 448), (84, 112)), ((448, 252), (112, 63)), ((30, 40), (84, 112)), ((900, 1200), (84, 112))],
)
def test_the_map_covers_the_image(default: MobileEncoder, shape: tuple[int, int], cells: tuple[int, int]) -> None:
    features = default.encode(picture(*shape))
    assert features.shape == (*cells, 64)
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=2), 1, atol=1e-5)


def test_a_line_of_pixels_is_an_image(default: MobileEncoder) -> None:
    assert default.encode(np.full((1, 300, 3), 90, np.uint8)).shape == (1, 112, 64)


def test_the_same_image_gives_the_same_map(raw: MobileEncoder) -> None:
    image = picture(336, 448)
    np.testing.assert_array_equal(raw.encode(image), raw.encode(image))


@pytest.mark.parametrize("name", ["raw", "default"])
def test_a_shifted_image_has_shifted_features(name: str, request: pytest.FixtureRequest) -> None:
    """By the largest stride, 32 px = 8 cells: every layer's samples fall on the same content."""
    encoder: MobileEncoder = request.getfixturevalue(name)
    wide = picture(448, 512, seed=1)
    left, right = encoder.encode(wide[:, :448]), encoder.encode(wide[:, 64:])
    # A cell's last layers see hundreds of pixels, so the border is felt everywhere, but less than the content is.
    aligned = (left[8:-8, 24:-8] * right[8:-8, 8:-24]).sum(axis=2).mean()
    unmoved = (left[8:-8, 24:-8] * right[8:-8, 24:-8]).sum(axis=2).mean()
    off_by_one = (left[8:-8, 24:-8] * right[8:-8, 9:-23]).sum(axis=2).mean()
    assert aligned > 0.9
    assert aligned > off_by_one > unmoved


def test_features_lie_where_the_content_is(raw: MobileEncoder) -> None:
    """A lone bright square on grey: the early levels differ most from the empty image around the square."""
    empty = np.full((448, 448, 3), 110, np.uint8)
    image = empty.copy()
    image[96:128, 320:352] = (250, 40, 40)
    difference = np.linalg.norm((raw.encode(image) - raw.encode(empty))[..., :32], axis=2)
    rows, columns = np.indices(difference.shape) + 0.5
    x = (columns * difference**2).sum() / (difference**2).sum() * 4
    y = (rows * difference**2).sum() / (difference**2).sum() * 4
    assert abs(x - 336) < 8
    assert abs(y - 112) < 8


def test_the_head_is_linear_on_the_enlarged_hypercolumn(default: MobileEncoder) -> None:
    """Projecting each level before enlarging it, as the head does, equals projecting the hypercolumn; then a blur."""
    image = picture(336, 448, seed=2)
    assert default.head is not None
    with torch.inference_mode():
        column = torch.cat([level.place((84, 112)) for level in finish(default.trunk.levels(image))], dim=1)
        weight = torch.cat([level.weight[:, :, 0, 0] for level in default.head.levels], dim=1)
        expected = torch.einsum("dc,chw->hwd", weight, column[0]) + default.head.bias
        expected = torch.nn.functional.normalize(expected, dim=2).numpy()
    blurred = gaussian_filter(expected, (SMOOTH, SMOOTH, 0), mode="nearest", radius=3)
    blurred /= np.linalg.norm(blurred, axis=2, keepdims=True)
    np.testing.assert_allclose(default.encode(image), blurred, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_cuda_agrees_with_the_cpu(default: MobileEncoder) -> None:
    image = picture(90, 120)
    found = load_encoder("default", torch.device("cuda")).encode(image)
    assert float((found * default.encode(image)).sum(axis=2).min()) > 0.995


def test_encoding_gives_way_between_blocks(default: MobileEncoder) -> None:
    assert sum(1 for _ in default.encode_slices(picture(100, 100))) >= 5


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3)),
        np.zeros((0, 9, 3), np.uint8),
    ],
)
def test_only_rgb_bytes_are_encoded(raw: MobileEncoder, image: np.ndarray) -> None:
    with pytest.raises(QueryError, match="RGB"):
        raw.encode(image)


def test_trunk_agrees_with_transformers() -> None:
    """The published layout, batch normalisation folded in, against transformers' MobileNetV2 with the same weights."""
    torch.manual_seed(0)
    config = MobileNetV2Config(tf_padding=False, output_stride=32, layer_norm_eps=1e-5, finegrained_output=True)
    oracle = MobileNetV2Model(config).eval()
    with torch.no_grad():
        for name, value in oracle.state_dict().items():
            if "running_var" in name:
                value.uniform_(0.5, 2)
            elif "running_mean" in name or name.endswith("bias"):
                value.normal_(0, 0.2)
    state = oracle.state_dict()
    published: dict[str, torch.Tensor] = {}

    def put(conv: str, norm: str, layer: str) -> None:
        published[f"{conv}.weight"] = state[f"{layer}.convolution.weight"]
        for part in ("weight", "bias", "running_mean", "running_var"):
            published[f"{norm}.{part}"] = state[f"{layer}.normalization.{part}"]

    put("features.0.0", "features.0.1", "conv_stem.first_conv")
    put("features.1.conv.0", "features.1.conv.1", "conv_stem.conv_3x3")
    put("features.1.conv.3", "features.1.conv.4", "conv_stem.reduce_1x1")
    for n in range(2, 18):
        for i, layer in ((0, "expand_1x1"), (3, "conv_3x3"), (6, "reduce_1x1")):
            put(f"features.{n}.conv.{i}", f"features.{n}.conv.{i + 1}", f"layer.{n - 2}.{layer}")
    trunk = MobileNetV2()
    trunk.load_state_dict(convert_trunk(published))
    image = torch.randn(1, 3, 96, 64)
    with torch.inference_mode():
        ours = dict(trunk.stages(image))
        hidden = oracle(image, output_hidden_states=True).hidden_states
    assert trunk.channels[17] == 320
    torch.testing.assert_close(ours[17], hidden[-1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(ours[6], hidden[4], rtol=1e-3, atol=1e-4)


def test_levels_are_placed_as_plain_enlarging_would() -> None:
    """Where a level's stride divides evenly, placing is the usual bilinear enlarging, cut to the image."""
    features = torch.randn(1, 5, 12, 15, generator=torch.Generator().manual_seed(0))
    level = Level(features, 32, 352, 448)
    enlarged = torch.nn.functional.interpolate(features, scale_factor=8, mode="bilinear", align_corners=False)
    torch.testing.assert_close(level.place((88, 112)), enlarged[:, :, 4:92, 4:116], rtol=1e-5, atol=1e-5)


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([8, 16, 32]))
def test_a_level_is_read_where_it_is_asked(x: float, y: float, stride: int) -> None:
    """A level that holds its samples' own positions gives back the position it is read at."""
    rows, columns = 384 // stride, 480 // stride
    along_x = ((torch.arange(columns) + 0.5) * stride - 16) / 448
    along_y = ((torch.arange(rows) + 0.5) * stride - 16) / 336
    features = torch.stack([along_x.expand(rows, columns), along_y[:, None].expand(rows, columns)])[None]
    read = Level(features, stride, 336, 448).sample(torch.tensor([[x, y]], dtype=torch.float64))
    torch.testing.assert_close(read, torch.tensor([[x, y]], dtype=torch.float32), rtol=1e-5, atol=1e-5)


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([4, 14]))
def test_working_size_keeps_the_shape(height: int, width: int, multiple: int) -> None:
    h, w = working_size(height, width, 448, multiple)
    assert h % multiple == 0 == w % multiple
    assert max(h, w) == 448
    long, short = max(height, width), min(height, width)
    assert abs(min(h, w) - 448 * short / long) <= max(multiple / 2, multiple - 448 * short / long)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 16))
def test_padding_mirrors(height: int, width: int, margin: int) -> None:
    image = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)
    padded = pad_mirrored(image, margin, 32)
    total = padded.shape[2:]
    assert total[0] % 32 == 0 == total[1] % 32
    right = [t - s - margin for t, s in zip(total, (height, width), strict=True)]
    assert all(margin <= r < margin + 32 for r in right)
    expected = np.pad(image[0, 0].numpy(), ((margin, right[0]), (margin, right[1])), mode="reflect")
    np.testing.assert_array_equal(padded[0, 0].numpy(), expected)


@pytest.fixture
def head_file(tmp_path: Path) -> Path:
    return Path(shutil.copy(asset_path(HEAD_FILE), tmp_path / "head.safetensors"))


def refused(head_file: Path) -> WeightsError:
    with pytest.raises(WeightsError) as e:
        MobileEncoder("mine", CPU, asset_path(TRUNK_FILE), head_file)
    assert str(head_file) in e.value.text()
    assert e.value.mend
    return e.value


def test_missing_file(tmp_path: Path) -> None:
    assert "no such" in refused(tmp_path / "none.safetensors").what


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
def test_pickles_are_not_opened(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"head{suffix}"
    file.write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    assert "weights_only=True" in str(refused(file).mend)


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_truncated_file(head_file: Path, kept: int) -> None:
    head_file.write_bytes(head_file.read_bytes()[:kept])
    refused(head_file)


def test_a_header_that_claims_too_much(head_file: Path) -> None:
    head_file.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    refused(head_file)


def test_weights_of_another_network(head_file: Path) -> None:
    shutil.copy(asset_path(TRUNK_FILE), head_file)
    assert "missing" in str(refused(head_file).found)


def test_not_finite(head_file: Path) -> None:
    tensors = load_file(head_file)
    tensors["bias"][0] = float("nan")
    save_file(tensors, head_file)
    assert refused(head_file).found == "NaN or infinity in bias"


def test_another_width(head_file: Path) -> None:
    tensors = load_file(head_file)
    tensors["bias"] = torch.zeros(32)
    save_file(tensors, head_file)
    error = refused(head_file)
    assert (error.found, error.expected) == ("bias of shape (32,)", "shape (64,)")


def test_the_id_follows_the_weights(head_file: Path, default: MobileEncoder) -> None:
    same = MobileEncoder("default", CPU, asset_path(TRUNK_FILE), head_file)
    assert same.id == default.id
    tensors = load_file(head_file)
    tensors["bias"] += 0.01
    save_file(tensors, head_file)
    assert MobileEncoder("default", CPU, asset_path(TRUNK_FILE), head_file).id != default.id


@pytest.mark.parametrize("name", ["", "nothing", "dinov2:", "condense-vitg:"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(WeightsError, match="no encoder"):
        load_encoder(name, CPU)
