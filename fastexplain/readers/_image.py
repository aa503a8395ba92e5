"""Images: pixels as they are, with the player of each pixel where images have their own."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import torch

from fastexplain._warnings import warn_user
from fastexplain.images import Images
from fastexplain.masked_model import MaskedModel
from fastexplain.networks import ImageTrunk, PlayerNetwork
from fastexplain.persistence import Fields, WeightsError, check_shape
from fastexplain.persistence._arrays import decode_dtype, encode_dtype
from fastexplain.persistence._limits import MOST_BLOCKS, MOST_NUMBERS, MOST_WIDTH
from fastexplain.readers._forms import ARRAYS
from fastexplain.readers._reader import Encoded

__all__ = ["ImageReader", "warn_if_cropped"]

# pixels that pass through the network at once in explain
_CALL_PIXELS = 2**20
# numbers that center and spread are found from
_FIT_NUMBERS = 2**23
_FINGERPRINT_IMAGES = 16
# copies of an image to learn from, at most
_MOST_COPIES = 8


class ImageReader:
    """Images as (n, C, H, W), in the numbers that they were given in.

    Parameters
    ----------
    masker : ImageMasker
        Fitted.
    kind : {"unet", "vit"}
    channels : {"first", "last", "none"}
        Order of the axes of images.
    shape : (int, int, int)
        C, H and W.
    dtype : str
        Of the images of fit.
    center, spread : tensor of shape (C,)
        Of their channels.
    limits : tensor of shape (2,)
        Smallest and largest number in them.
    width, n_blocks : int
        Of the network.
    """

    gives_outputs = False
    needs_model = False

    def __init__(
        self,
        masker: Any,
        kind: str,
        channels: str,
        shape: tuple[int, int, int],
        dtype: str,
        center: torch.Tensor,
        spread: torch.Tensor,
        limits: torch.Tensor,
        width: int,
        n_blocks: int,
    ) -> None:
        self.masker, self.kind = masker, kind
        self.channels, self.shape, self.dtype = channels, shape, dtype
        self.center, self.spread, self.range = center, spread, limits
        self.width, self.n_blocks = width, n_blocks
        self.call_samples = int(np.clip(_CALL_PIXELS // (shape[1] * shape[2]), 1, 1024))

    @classmethod
    def fit(cls, masker: Any, images: Images, kind: str, width: int, n_blocks: int) -> Self:
        """Learn the images' shape, and center and spread of each channel."""
        pixels = images.pixels()
        few = int(np.clip(_FIT_NUMBERS // max(math.prod(pixels.shape[1:]), 1), 16, 1000))
        some = pixels[:: max(1, len(pixels) // few)].astype(np.float64)
        center = torch.from_numpy(some.mean(axis=(0, 1, 2))).float()
        spread = torch.from_numpy(some.std(axis=(0, 1, 2))).float()
        spread = torch.where(spread > 0, spread, torch.ones_like(spread))
        shape = (pixels.shape[3], *images.size)
        dtype = str(images.native.dtype)
        limits = torch.tensor([some.min(), some.max()])
        return cls(
            masker, kind, images.channels, shape, dtype, center, spread, limits, width, n_blocks
        )

    def encode(self, samples: Images, masked: Any = None) -> Encoded:
        """Images (n, C, H, W), and null flags (n, N)."""
        null = torch.from_numpy(self.masker.null_players(samples))
        return {"x": self._with_labels(samples.pixels(), samples), "null": null}

    def encode_masked(self, samples: Images, masks: np.ndarray, masked: Any = None) -> Encoded:
        """The same of masked images; their missing players are null."""
        made = self.masker.inputs(samples, ARRAYS)(masks[:, None], slice(0, len(samples)))
        pixels = Images(np.asarray(made), samples.channels).pixels()
        null = torch.from_numpy(self.masker.null_players(samples) | ~masks)
        return {"x": self._with_labels(pixels, samples), "null": null}

    def _with_labels(self, pixels: np.ndarray, samples: Images) -> torch.Tensor:
        if pixels.dtype not in (np.uint8, np.float32):
            pixels = pixels.astype(np.float32)
        # torch takes no read-only arrays
        first = np.require(np.moveaxis(pixels, 3, 1), requirements=["C", "W"])
        x = torch.from_numpy(first)
        labels = self.masker.labels(samples)
        if labels.ndim == 2:
            return x
        # each image's own superpixels travel with it
        return torch.cat([x.float(), torch.from_numpy(labels)[:, None].float()], dim=1)

    def body(self, per_player: int, whole: int, n_head_layers: int = 1) -> PlayerNetwork:
        """A U-Net or a vision transformer, with heads on players."""
        n_players = self.masker.n_players
        channels, height, width = self.shape
        labels = self._labels()
        # layers draw their first weights from torch's global generator, which is the user's
        with torch.random.fork_rng(devices=[]):
            trunk = ImageTrunk(
                self.kind,
                channels,
                (height, width),
                self._stride(),
                self.width,
                self.n_blocks,
                self.center,
                self.spread,
                labels,
                n_players,
            )
            return PlayerNetwork(trunk, self.width, per_player, whole, n_head_layers)

    def _labels(self) -> torch.Tensor | None:
        """Player of each pixel (H, W); None where each image has its own."""
        if not self._shared():
            return None
        return torch.from_numpy(np.asarray(self.masker.labels(self._blank()))).long()

    def _shared(self) -> bool:
        """Whether all images have the same players."""
        return not callable(self.masker.segments)

    def _blank(self) -> Images:
        """A blank image in the shape of those of fit."""
        pixels = np.zeros((1, *self.shape[1:], self.shape[0]), dtype=self.dtype)
        return Images(Images(pixels, self.channels).in_order(pixels), self.channels)

    def _stride(self) -> int:
        """Side of the network's cells: the largest power of two within a player."""
        channels, height, width = self.shape
        side = math.sqrt(height * width / max(self.masker.n_players, 1))
        if self.masker.grid_ is not None:
            rows, columns = self.masker.grid_
            side = min(height / rows, width / columns)
        return int(2 ** np.clip(math.floor(math.log2(max(side, 1.0))), 0, 5))

    def numbers(self) -> int:
        """One a pixel and channel, a quarter of it for single bytes."""
        count = math.prod(self.shape)
        return count // 4 if self.dtype == "uint8" and self._shared() else count

    def mix(self, samples: Images, n_samples: int, rng: np.random.Generator) -> Images:
        """The images and copies of them, mirrored and moved by up to an eighth of their size.

        A part of every third copy is taken from another image. Models are less sure of these, as
        they are less sure of images that they were not trained on; few others teach what speaks
        for each of several classes. The model is asked for what it answers to the copies: they
        need not mean the same to it.
        """
        n, extra = len(samples), min(n_samples, _MOST_COPIES * len(samples))
        rows = rng.integers(n, size=extra)
        mirrored = rng.random(extra) < 0.5
        reach = np.maximum(np.array(samples.size) // 8, 1)
        moves = rng.integers(-reach, reach + 1, size=(extra, 2))
        order = rng.permutation(n + extra)
        height, width = (np.arange(side) for side in samples.size)
        others = np.where(np.arange(extra) % 3 == 0, rng.integers(n, size=extra), -1)
        boxes = _boxes(extra, samples.size, rng)
        if samples.segments is not None:
            # parts of two images have players of the same numbers
            others[:] = -1

        def with_copies(source: np.ndarray) -> np.ndarray:
            made = np.empty((n + extra, *source.shape[1:]), dtype=source.dtype)
            made[order[:n]] = source
            for place, row, flip, (down, right), other, (top, bottom, left, end) in zip(
                order[n:], rows, mirrored, moves, others, boxes, strict=True
            ):
                across = np.clip(width + right, 0, len(width) - 1)
                down_to = np.clip(height + down, 0, len(height) - 1)
                image = source[row][down_to][:, across]
                made[place] = image[:, ::-1] if flip else image
                if other >= 0:
                    made[place, top:bottom, left:end] = source[other, top:bottom, left:end]
            return made

        images = Images(samples.in_order(with_copies(samples.pixels())), samples.channels)
        if samples.segments is not None and samples.segmented_by is not None:
            # superpixels go along: found anew, a copy could have more than there are players
            images = images.with_segments(with_copies(samples.segments), samples.segmented_by)
        return self.masker.wrap(images)

    def fingerprint_samples(self) -> Images:
        """Smooth noise with the spread of the training images."""
        rng = np.random.default_rng(0)
        channels, height, width = self.shape
        coarse = rng.normal(size=(_FINGERPRINT_IMAGES, -(-height // 4), -(-width // 4), channels))
        pixels = coarse.repeat(4, axis=1)[:, :height].repeat(4, axis=2)[:, :, :width]
        pixels = self.center.numpy() + self.spread.numpy() * pixels
        pixels = np.clip(pixels, *self.range.tolist())
        if np.dtype(self.dtype).kind in "iu":
            limits = np.iinfo(self.dtype)
            pixels = np.clip(np.round(pixels), max(limits.min, -(2**31)), min(limits.max, 2**31))
        pixels = pixels.astype(self.dtype)
        return Images(Images(pixels, self.channels).in_order(pixels), self.channels)

    def state(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Describe as JSON values and tensors."""
        config = {
            "kind": "image",
            "network": self.kind,
            "channels": self.channels,
            "shape": list(self.shape),
            "dtype": encode_dtype(np.dtype(self.dtype)),
            "width": self.width,
            "n_blocks": self.n_blocks,
        }
        return config, {"center": self.center, "spread": self.spread, "range": self.range}

    @classmethod
    def from_state(
        cls, config: dict[str, Any], tensors: dict[str, torch.Tensor], masker: Any
    ) -> Self:
        """The inverse of ``state``; raises ValueError for what that does not write."""
        fields = Fields(config, "reader")
        fields.text("kind", ("image",))
        kind = fields.text("network", ("unet", "vit", "copy"))
        channels = fields.text("channels", (masker.channels_,))
        channel_count, height, width = fields.wholes("shape", 1, MOST_NUMBERS, 3)
        like = Images(np.broadcast_to(np.uint8(0), (0, *masker.shape_)), channels)
        if (like.n_channels, *like.size) != (channel_count, height, width):
            raise ValueError("reader.shape is not that of the masker's images")
        dtype = decode_dtype(fields.value("dtype"))
        if dtype.kind not in "iuf" or dtype.itemsize > 8:
            raise ValueError(f"reader.dtype is no dtype of images, got {dtype}")
        if (dtype.kind in "iu") != masker.whole_numbers_:
            raise ValueError("reader.dtype is of another kind than the masker's images")
        center, spread = (check_shape(tensors, k, (channel_count,)) for k in ("center", "spread"))
        limits = check_shape(tensors, "range", (2,))
        if bool((spread <= 0).any()) or bool(limits[0] > limits[1]):
            raise WeightsError("the images' spread is not above 0, or their range is none")
        sizes = fields.whole("width", 1, MOST_WIDTH), fields.whole("n_blocks", 0, MOST_BLOCKS)
        fields.close()
        shape = (channel_count, height, width)
        return cls(masker, kind, channels, shape, str(dtype), center, spread, limits, *sizes)


def _boxes(n: int, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Rectangles (n, 4): rows from and to, columns from and to, about half of each side."""
    sides = np.array(size)
    extent = np.maximum(1, (rng.uniform(0.35, 0.75, size=(n, 2)) * sides).astype(int))
    first = (rng.random((n, 2)) * (sides - extent + 1)).astype(int)
    return np.stack([first, first + extent], axis=2).reshape(n, 4)


def warn_if_cropped(masked: MaskedModel, samples: Images) -> None:
    """Say so where the model's image processor cuts off edges, which its states then leave out.

    Parameters
    ----------
    masked : MaskedModel
    samples : Images
        At least one.
    """
    crops = getattr(masked.predictor.call, "crops", None)
    if crops is not None and crops(masked.masker.whole(samples, masked.predictor)):
        warn_user(
            "The image processor cuts off edges of images of this size, so that the model's "
            "states are those of a part. They are read as if of the whole: players near or "
            "beyond the cut are read from their neighbours. Crop the images before fit, or "
            "choose a network= that reads the images themselves, such as 'unet'."
        )
