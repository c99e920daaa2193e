"""Image files of any depth, orientation and format: read alike, or refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from nasformer.data.picture import MAX_PIXELS, as_mode, read_image, suffixes
from nasformer.errors import DataError

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize(
    ("suffix", "pixels"),
    [
        ("png", GREY.astype(np.uint16) * 257),
        ("tiff", GREY.astype(np.uint16) * 257),
        ("tiff", GREY.astype(np.int32) * 257),  # 16 bits in 32, as Pillow and many programs write them
        ("tiff", GREY.astype(np.int32) * (2**31 // 255)),
        ("tiff", GREY.astype(np.float32) / 255),
        ("png", GREY),
    ],
)
def test_grey_values_of_any_depth_are_scaled_to_bytes(tmp_path: Path, suffix: str, pixels: np.ndarray) -> None:
    path = tmp_path / f"grey.{suffix}"
    Image.fromarray(pixels).save(path)
    for mode in ("L", "RGB"):
        found = np.asarray(read_image(path, mode)).reshape(16, 16, -1)
        assert np.abs(found.astype(int) - GREY[..., None]).max() <= (1 if pixels.dtype == np.int32 else 0)


@given(hnp.arrays(np.uint16, (3, 4), elements=st.integers(0, 65535)))
def test_sixteen_bits_keep_their_order(pixels: np.ndarray) -> None:
    found = np.asarray(as_mode(Image.fromarray(pixels), "L")).astype(float)
    assert np.abs(found - pixels / 257).max() <= 0.5


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((4, 4), 1.5, np.float32), r"floats reach from 1\.5 to 1\.5; scale them to \[0, 1\]"),
        (np.full((4, 4), np.nan, np.float32), r"floats reach from nan"),
        (np.full((4, 4), -3, np.int32), r"integers reach from -3 to -3"),
    ],
)
def test_values_without_a_scale_are_refused_by_name(tmp_path: Path, pixels: np.ndarray, words: str) -> None:
    path = tmp_path / "odd.tiff"
    Image.fromarray(pixels).save(path)
    with pytest.raises(DataError, match=rf"cannot read the image .*odd\.tiff: its {words}"):
        read_image(path, "RGB")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :12] = 255  # white at the top left
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    image = Image.fromarray(upright)
    stored = image if undo is None else image.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"a.{suffix}", exif=exif)
    found = np.asarray(read_image(tmp_path / f"a.{suffix}", "L")).astype(int)
    assert found.shape == (16, 24)
    assert found[:7, :11].min() > 200
    assert max(found[9:].max(), found[:, 13:].max()) < 60


def test_a_palette_with_transparency_is_read_without_a_warning(tmp_path: Path) -> None:
    image = Image.fromarray(GREY).convert("P")
    image.info["transparency"] = bytes(range(256))
    image.save(tmp_path / "a.png", transparency=bytes(range(256)))
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.png", "L")), GREY)


def test_what_is_no_image_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    os.mkfifo(tmp_path / "pipe.png")
    Image.fromarray(np.tile(GREY, (8, 8))).save(tmp_path / "torn.jpg")
    (tmp_path / "torn.jpg").write_bytes((tmp_path / "torn.jpg").read_bytes()[:-90])
    reasons = {
        "text.png": "Pillow cannot identify it",
        "script.png": "Pillow cannot identify it",  # EPS would run Ghostscript
        "pipe.png": "it is no regular file",  # and would wait for ever
        "torn.jpg": ".*[Tt]runcated",
    }
    for name, reason in reasons.items():
        with pytest.raises(DataError, match=rf"cannot read the image .*{name}: {reason}"):
            read_image(tmp_path / name, "RGB")
    with pytest.raises(DataError, match=r"there is no image .*absent\.png"):
        read_image(tmp_path / "absent.png", "RGB")


def test_an_image_above_the_limit_names_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.fromarray(GREY).save(tmp_path / "large.png")
    with pytest.raises(DataError, match=rf"large\.png: .*exceeds limit of 200 pixels.*{MAX_PIXELS}"):
        read_image(tmp_path / "large.png", "L")
    monkeypatch.setenv(MAX_PIXELS, "1e4")
    assert read_image(tmp_path / "large.png", "L").size == (16, 16)
    monkeypatch.setenv(MAX_PIXELS, "many")
    with pytest.raises(DataError, match=rf"{MAX_PIXELS} must be a number of pixels, got 'many'"):
        read_image(tmp_path / "large.png", "L")


def test_every_suffix_is_of_a_format_that_is_read() -> None:
    assert {".gif", ".jfif", ".jpeg", ".png", ".tif", ".webp", ".bmp", ".ppm"} <= suffixes()
    assert not {".eps", ".pdf", ".txt", ".mpg"} & suffixes()
