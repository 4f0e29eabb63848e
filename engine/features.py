"""Dense features of one capture's photos, and the colour basis they are shown in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.api.errors import CacheError, CaptureError, WeightsError
from engine.api.jobs import Job, Progress
from engine.api.scene import UInt8
from engine.captures.upright import quarter_turns
from engine.encoders import load_encoder
from engine.encoders.image import ImageEncoder
from engine.encoders.pca import ColourBasis
from engine.encoders.volume import VolumeEncoder, load_volume_encoder
from engine.encoders.weights import tensors_id
from engine.queries.bank import FeatureBank
from engine.results import ResultStore, parse_features, write_features
from engine.runtime import resolve_device
from engine.storage import digest

if TYPE_CHECKING:
    from engine.captures import Capture

BASIS_VIEWS = 8  # the colour basis is fixed from so many views, spread over the capture, and then kept
READ_SIDE = 640  # photos are read at this long side; encoders resize from there to their own


def spread_order(count: int) -> list[int]:
    """0 … count-1 so that every beginning of the list spreads over the whole: 0, 1/2, 1/4, 3/4, 1/8, …"""
    bits = max(1, (count - 1).bit_length())
    return [v for v in (int(f"{i:0{bits}b}"[::-1], 2) for i in range(1 << bits)) if v < count]


def encoders_id(encoder: ImageEncoder) -> str:
    """Of a 2D encoder and the 3D encoder that was trained with it, as ``ViewFeatureSet.id``.

    Raises:
        WeightsError: the 3D encoder's weights are missing, damaged, or not this one's.
    """
    return _id(encoder, _load_volume(encoder))


def _id(encoder: ImageEncoder, volume: VolumeEncoder | None) -> str:
    return encoder.id + ("" if volume is None else f"+{tensors_id(volume.state_dict())}")


def _load_volume(encoder: ImageEncoder) -> VolumeEncoder | None:
    if encoder.volume_file is None:
        return None
    volume = load_volume_encoder(encoder.volume_file)
    if volume.config.dim != encoder.dim:
        raise WeightsError(
            "the 3D encoder does not belong to the 2D encoder",
            path=encoder.volume_file,
            found=f"{volume.config.dim} channels",
            expected=str(encoder.dim),
            mend="give the folder of one training",
        )
    return volume


class ViewFeatureSet:
    """Feature maps of a capture's photos by one encoder: encoded once, stored, held in a bank for queries.

    Photos that lie on their side are encoded upright.

    Raises:
        WeightsError: an encoder cannot be loaded.

    Attributes:
        encoder: the 2D encoder.
        volume: the 3D encoder that was trained with it; None: there is none.
        id: of both; features on voxels belong to one id.
    """

    def __init__(self, capture: Capture, store: ResultStore, encoder_name: str, device: str) -> None:
        self.encoder_name = encoder_name
        self.encoder = load_encoder(encoder_name, resolve_device(device))
        self.volume = _load_volume(self.encoder)
        if self.volume is not None:
            self.volume.to(resolve_device(device))
        self.id = _id(self.encoder, self.volume)
        self.bank = FeatureBank(self.encoder.dim)
        self.basis: ColourBasis | None = None
        self.skipped: dict[int, str] = {}
        self.warnings: list[str] = []
        self._capture = capture
        self._store = store
        self._fresh: list[int] = []
        self._turns = [quarter_turns(v.camera, capture.up_w) for v in capture.views]
        # photos that lie on their side were once encoded as they lie: what was stored of these is another thing
        self._way = "-upright" if any(self._turns) else ""
        self._restore()

    @property
    def key(self) -> str:
        """What is stored of these maps, lifted or named, belongs to this."""
        return self.id + self._way

    @property
    def dim(self) -> int:
        """Channels of a feature."""
        return self.encoder.dim

    @property
    def complete(self) -> bool:
        """Whether every readable photo is encoded."""
        return bool(self.bank.views()) and not self.missing()

    @property
    def file_name(self) -> str:
        return f"features-{digest(self.encoder.id)}.safetensors"

    def views(self) -> list[int]:
        """Views that are encoded."""
        return sorted(self.bank.views())

    def missing(self) -> list[int]:
        """Views that are neither encoded nor unreadable, those that spread over the capture first."""
        return [v for v in spread_order(len(self._capture.views)) if v not in self.bank and v not in self.skipped]

    def encode(self, views: list[int]) -> Job[None]:
        """Encode ``views`` in that order; a photo that cannot be read is skipped and counted.

        Raises:
            CaptureError: not one photo of the capture can be read.
        """
        for done, view in enumerate(views):
            yield Progress(done, len(views), "views", self._capture.views[view].name)
            try:
                yield from self.encode_view(view)
            except CaptureError as e:
                self.skipped[view] = e.text()
                if len(self.skipped) == len(self._capture.views):
                    raise
        self._fix_basis()
        yield Progress(len(views), len(views), "views")

    def encode_view(self, view: int) -> Job[None]:
        """Encode one view if it is not yet.

        Raises:
            CaptureError: the photo cannot be read.
        """
        if view in self.bank:
            return
        rgb = self._capture.read(view, max_side=READ_SIDE).rgb
        features = yield from self.encoder.encode_turned(rgb, self._turns[view])
        if view in self.bank:  # a click wanted it too while we gave way
            return
        self.bank.add_view(view, features)
        self._fresh.append(view)
        if len(self.bank.views()) >= BASIS_VIEWS:
            self._fix_basis()

    def _fix_basis(self) -> None:
        if self.basis is None and self.bank.views():
            cells = np.concatenate([self.bank.map(v).reshape(-1, self.dim) for v in self.bank.views()[:BASIS_VIEWS]])
            self.basis = ColourBasis.fit(cells)

    def colours(self, view: int) -> UInt8:
        """(h, w, 3) PCA colours of an encoded view, in the shared basis."""
        assert self.basis is not None
        return self.basis.apply(self.bank.map(view))

    def take_fresh(self) -> list[int]:
        """Views encoded since the last call, once there is a basis to colour them in."""
        if self.basis is None:
            return []
        fresh, self._fresh = self._fresh, []
        return fresh

    def path(self, ship: bool = False) -> Path:
        """Where the maps are stored."""
        return self._store.write_path(self.file_name, ship)

    def save(self, ship: bool = False) -> None:
        """Store the maps quantised to 8 bits, and the basis.

        Raises:
            CacheError: the folder cannot be written or the disk is full.
        """
        if self.basis is None:
            return
        write_features(
            self.path(ship),
            capture=self._capture.fingerprint,
            encoder=self.encoder.id + self._way,
            maps={v: (codes, scale.astype(np.float16)) for v in self.views() for codes, scale in [self.bank.codes(v)]},
            basis=dict(self.basis.to_arrays()),
        )

    def _restore(self) -> None:
        found = self._store.read(self.file_name, self._capture.fingerprint)
        if found is None or found[1].get("encoder") != self.encoder.id + self._way:
            return
        try:
            maps, basis = parse_features(found[0], len(self._capture.views))
            if any(codes.shape[2] != self.dim for codes, _ in maps.values()):
                raise CacheError("stored features have another width", mend="they are made again")
            self.basis = ColourBasis.from_arrays(basis)
        except CacheError as e:
            self.warnings.append(f"Stored features were not used. {e.text()}")
            return
        for view in sorted(maps):
            self.bank.add_codes(view, maps[view][0])
