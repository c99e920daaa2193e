"""Decoded images have the values of their files, and come into place whole or not at all."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.transforms_factory import create_transform
from torch.utils.data import Subset

from nasformer.data import iterate, load_dataset
from nasformer.data.dataset import Split
from nasformer.data.decoded import DecodedImages, decode_once
from nasformer.data.image_files import ImageFiles, Plain
from nasformer.errors import DataError

MakeFolder = Callable[..., Path]


@pytest.fixture
def files(make_folder: MakeFolder) -> ImageFiles:
    split = load_dataset(f"imagefolder:{make_folder({'train': 9, 'val': 2})}", image_size=16, search_fraction=0.4)
    assert isinstance(split.search, ImageFiles)
    return split.search


def decoded(files: ImageFiles, folder: Path) -> DecodedImages:
    split = decode_once(files, folder)
    assert isinstance(split, DecodedImages)
    return split


def arrays(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npy"))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
@pytest.mark.parametrize("shape", [(20, 24), (300, 201), (9, 7)])
def test_the_plain_transform_is_timms_bit_for_bit(mode: str, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    image = Image.fromarray(noise).convert(mode).convert("RGB")
    own, reference = (
        transform(image)
        for transform in (Plain(16), create_transform(16, is_training=False, interpolation="bicubic", crop_pct=0.875))
    )
    assert own.dtype == reference.dtype
    assert torch.equal(own, reference)


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize("prefetch", [False, True])
def test_batches_are_those_of_the_files_bit_for_bit(
    files: ImageFiles, tmp_path: Path, seed: int | None, prefetch: bool
) -> None:
    split = decoded(files, tmp_path / "kept")
    own, reference = (list(iterate(each, 3, seed=seed, start=1, stop=7, prefetch=prefetch)) for each in (split, files))
    assert [len(x) for x, _ in own] == [3, 3]
    for (x, y), (images, labels) in zip(own, reference, strict=True):
        assert x.dtype == torch.float32
        assert torch.equal(x, images)
        assert torch.equal(y, labels)


def test_single_images_are_those_of_the_files(files: ImageFiles, tmp_path: Path) -> None:
    split = decoded(files, tmp_path)
    again = pickle.loads(pickle.dumps(split))
    assert len(pickle.dumps(split)) < len(files) * 3 * 16 * 16
    for each in (split, again):
        assert len(each) == len(files)
        for place in (0, 3, -1):
            image, label = each[place]
            assert torch.equal(image, files[place][0])
            assert label == files[place][1]
    with pytest.raises(IndexError):
        split[len(files)]


def test_an_array_is_made_once(files: ImageFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nasformer.data")
    decoded(files, tmp_path)
    assert "decoded 8 of 8 images" in caplog.text
    caplog.clear()
    for path, _ in files.samples:
        time_of = path.stat()
        path.write_bytes(bytes(time_of.st_size))  # would be refused, were it read
        os.utime(path, ns=(time_of.st_atime_ns, time_of.st_mtime_ns))
    assert len(decoded(files, tmp_path)) == 8
    assert not caplog.text


def test_other_files_another_size_or_order_are_other_arrays(files: ImageFiles, tmp_path: Path) -> None:
    decoded(files, tmp_path)
    variants = [
        ImageFiles(files.samples, files.classes, Plain(24)),
        ImageFiles(files.samples[::-1], files.classes, Plain(16)),
        ImageFiles(files.samples[1:], files.classes, Plain(16)),
    ]
    for count, variant in enumerate(variants, start=2):
        split = decoded(variant, tmp_path)
        assert torch.equal(split[0][0], variant[0][0])
        assert len(arrays(tmp_path)) == count
    path = files.samples[2][0]
    Image.fromarray(np.zeros((20, 24, 3), dtype=np.uint8)).save(path)
    assert torch.equal(decoded(files, tmp_path)[2][0], files[2][0])
    assert len(arrays(tmp_path)) == 5


def test_a_changed_time_is_a_changed_file(files: ImageFiles, tmp_path: Path) -> None:
    decoded(files, tmp_path)
    os.utime(files.samples[0][0], ns=(0, 0))
    decoded(files, tmp_path)
    assert len(arrays(tmp_path)) == 2


def test_other_splits_are_left_as_they_are(make_folder: MakeFolder, tmp_path: Path) -> None:
    data = load_dataset(f"imagefolder:{make_folder({'train': 9, 'val': 2})}", image_size=16, search_fraction=0.4)
    assert isinstance(data.train, ImageFiles)
    augmented = data.train.augmented(None, 0.0)
    others: list[Split] = [augmented, load_dataset("digits").search, Subset(data.search, [0])]  # type: ignore[arg-type]
    for split in others:
        assert decode_once(split, tmp_path / "kept") is split
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("damage", ["torn", "empty", "other shape", "text"])
def test_a_damaged_array_is_made_again(files: ImageFiles, tmp_path: Path, damage: str) -> None:
    path = decoded(files, tmp_path).path
    whole = path.read_bytes()
    if damage == "other shape":
        np.save(path, np.zeros((2, 3, 16, 16), dtype=np.uint8))
    else:
        path.write_bytes({"torn": whole[:-1], "empty": b"", "text": b"no array"}[damage])
    again = decoded(files, tmp_path)
    assert path.read_bytes() == whole
    assert torch.equal(again[1][0], files[1][0])


@pytest.mark.parametrize("how", ["no image", "absent"])
def test_an_unreadable_image_is_named_and_nothing_is_kept(files: ImageFiles, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "kept"
    path = files.samples[4][0]
    if how == "absent":
        path.unlink()
    else:
        path.write_bytes(b"no image")
        files.samples[6][0].write_bytes(b"no image either")
    with pytest.raises(DataError, match=rf"^(cannot read the|there is no) image {path}") as own:
        decode_once(files, folder)
    with pytest.raises(DataError) as today:
        files[4]
    assert str(own.value) == str(today.value)
    assert not list(folder.glob("*.npy"))
    assert not list(folder.glob("*.part"))


def test_where_nothing_can_be_kept_the_files_serve(
    files: ImageFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kept").write_text("a file")
    assert decode_once(files, tmp_path / "kept") is files
    assert len(caplog.records) == 1
    assert "cannot cache 8 decoded images in" in caplog.text
    assert "kept: File exists (they need 6,144 bytes)" in caplog.text or "Not a directory" in caplog.text
    assert "NASFORMER_HOME" in caplog.text


SCRIPT = """
import logging, sys
from pathlib import Path
from nasformer.data.dataset import Split
from nasformer.data.decoded import decode_once
from nasformer.data.image_files import ImageFiles, Plain
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
limit, image, count, folder = sys.argv[1:]
if int(limit):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
print("begins", flush=True)
split = decode_once(ImageFiles([(Path(image), 0)] * int(count), ["a"], Plain(16)), Path(folder), threads=2)
print(type(split).__name__)
"""


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(1).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photograph.jpg")
    return tmp_path / "photograph.jpg"


def start(photograph: Path, count: int, folder: Path, *, limit: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(limit), str(photograph), str(count), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_two_processes_make_one_array(photograph: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    processes = [start(photograph, 60, folder) for _ in range(2)]
    output = [process.communicate(timeout=300)[0] for process in processes]
    assert [text.split()[-1] for text in output] == ["DecodedImages"] * 2, output
    assert sum("decoded 60 of 60 images" in text for text in output) == 1
    assert len(arrays(folder)) == 1
    assert not list(folder.glob("*.part"))


def test_a_disk_that_fills_up_on_the_way_costs_a_warning(photograph: Path, tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="no limits of file sizes")
    folder = tmp_path / "kept"
    output = start(photograph, 60, folder, limit=20_000).communicate(timeout=300)[0]
    assert output.split()[-1] == "ImageFiles", output
    assert f"WARNING cannot cache 60 decoded images in {folder}: File too large (they need 46,080 bytes)" in output
    assert not arrays(folder)
    assert not list(folder.glob("*.part"))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_a_kill_in_the_middle_leaves_nothing_that_is_taken_for_whole(photograph: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    process = start(photograph, 100_000, folder)
    try:
        while not any(part.stat().st_size for part in folder.glob("*.part")):
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.kill()
        process.communicate()
    assert not arrays(folder)
    assert len(list(folder.glob("*.part"))) == 1
    files = ImageFiles([(photograph, 0)], ["a"], Plain(16))
    own = decoded(files, folder)
    assert torch.equal(own[0][0], files[0][0])
