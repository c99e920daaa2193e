"""From an image to the network's input: bit for bit what the datasets make of the same image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nasformer.data import load_dataset
from nasformer.data.decoded import decode_once
from nasformer.data.image_files import ImageFiles, Plain
from nasformer.errors import DataError, ExportError
from nasformer.export.exporter import preprocessing_of
from nasformer.export.preprocessing import Preprocessing


def picture(width: int, height: int, channels: int = 3) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze())


@pytest.mark.parametrize(("width", "height"), [(64, 64), (50, 37), (37, 51), (9, 200), (300, 45), (36, 36), (41, 36)])
@pytest.mark.parametrize("size", [32, 31])
def test_an_image_file_becomes_what_the_dataset_makes_of_it(width: int, height: int, size: int) -> None:
    plain = Plain(size)
    steps = Preprocessing(3, size, int(size / 0.875), tuple(plain.mean), tuple(plain.std))
    image = picture(width, height)
    assert np.array_equal(steps(image), plain(image).numpy())


def test_an_image_folder_is_prepared_as_its_test_images_are(tmp_path: Path) -> None:
    for part, each in (("train", 8), ("test", 2)):
        for label in "ab":
            (tmp_path / part / label).mkdir(parents=True)
            for number in range(each):
                picture(50 + number, 40).save(tmp_path / part / label / f"{number}.png")
    data = load_dataset(f"imagefolder:{tmp_path}", image_size=16)
    steps = preprocessing_of(data)
    assert steps is not None
    assert (steps.size, steps.resize, steps.channels) == (16, 18, 3)
    assert np.array_equal(steps.read(tmp_path / "test" / "b" / "1.png"), data.test[3][0].numpy())


@pytest.mark.parametrize("channels", [3, 1])
def test_odd_image_files_are_prepared_alike(tmp_path: Path, channels: int) -> None:
    """Upright as EXIF says, 16 bits as 8: in training, search, cache, test and prediction."""
    sideways = Image.Exif()
    sideways[0x0112] = 6
    grey = np.random.default_rng(1).integers(0, 2**16, (40, 50), dtype=np.uint16)
    for part, each in (("train", 8), ("test", 2)):
        for label in "ab":
            (tmp_path / part / label).mkdir(parents=True)
            for number in range(each):
                if label == "a":
                    picture(50 + number, 40).save(tmp_path / part / label / f"{number}.jpg", exif=sideways)
                else:
                    Image.fromarray(grey + np.uint16(number)).save(tmp_path / part / label / f"{number}.png")
    data = load_dataset(str(tmp_path), image_size=16, in_channels=channels)
    steps = preprocessing_of(data)
    assert steps is not None
    for key, split in data.splits.items():
        assert isinstance(split, ImageFiles), key
        kept = decode_once(split, tmp_path / "kept")
        for place, name in enumerate(split.names):
            seen = steps.read(tmp_path / name)
            assert np.array_equal(seen, split[place][0].numpy())
            assert np.array_equal(seen, kept[place][0].numpy())


def test_digits_in_memory_are_prepared_by_their_own_mean() -> None:
    data = load_dataset("digits")
    steps, image = preprocessing_of(data), data.test[0][0]
    assert steps is not None
    assert (steps.size, steps.resize, steps.channels) == (8, 8, 1)
    mean, std = (torch.tensor(values) for values in (steps.mean, steps.std))
    pixels = (image * std + mean).mul(255).round().clamp(0, 255).to(torch.uint8)
    assert np.abs(steps(Image.fromarray(pixels[0].numpy())) - image.numpy()).max() < 0.5 / 255 / steps.std[0] + 1e-6


def test_grey_palette_and_transparent_images_are_read_as_the_network_takes_them(tmp_path: Path) -> None:
    colours = Preprocessing(3, 8, 8, (0.0,) * 3, (1.0,) * 3)
    grey = Preprocessing(1, 8, 8, (0.0,), (1.0,))
    for number, mode in enumerate(("L", "P", "RGBA", "CMYK", "1", "LA")):
        path = tmp_path / f"{number}.{'tif' if mode == 'CMYK' else 'png'}"
        picture(10, 9).convert(mode).save(path)
        assert colours.read(path).shape == (3, 8, 8)
        assert grey.read(path).shape == (1, 8, 8)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    steps = Preprocessing(1, 8, 8, (0.0,), (1.0,))
    (tmp_path / "text.png").write_text("no image")
    picture(64, 64).save(tmp_path / "whole.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    with pytest.raises(DataError, match=r"text\.png: Pillow cannot identify it"):
        steps.read(tmp_path / "text.png")
    with pytest.raises(DataError, match=r"cannot read the image .*torn.png: .*truncated"):
        steps.read(tmp_path / "torn.png")
    with pytest.raises(DataError, match=r"there is no image .*absent.png"):
        steps.read(tmp_path / "absent.png")
    with pytest.raises(DataError, match=r"cannot read the image"):
        steps.read(tmp_path)
    with pytest.raises(ExportError, match=r"takes 4 channels, which no image file has"):
        Preprocessing(4, 8, 8, (0.0,) * 4, (1.0,) * 4).read(tmp_path / "whole.png")
