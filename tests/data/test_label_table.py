"""Label tables: the task they tell, their targets and splits, and one line for each fault."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from nasformer.data import Dataset, iterate, load_dataset
from nasformer.data.decoded import DecodedImages, decode_once
from nasformer.data.names import OPTIONS, TABLE, join_name, parse_name, source_of
from nasformer.data.splits import stratified_labels
from nasformer.errors import DataError
from nasformer.training.opening import require_same_splits

IMAGES = 24
Write = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images 0.png, 1.png, …"""
    path, generator = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number in range(IMAGES):
        Image.fromarray(generator.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(path / f"{number}.png")
    return path


@pytest.fixture
def write(folder: Path) -> Write:
    """Write a CSV beside the images."""

    def call(text: str) -> Path:
        path = folder / "labels.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return call


def table(header: str, *cells: Sequence[object]) -> str:
    """Return a CSV with one row per image; each column repeats its cells."""
    rows = [[f"{n}.png", *(str(column[n % len(column)]) for column in cells)] for n in range(IMAGES)]
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


def load(path: Path, query: str = "", **options: Any) -> Dataset:
    return load_dataset(f"table:{path}{query}", image_size=8, **options)


def targets(data: Dataset) -> dict[str, Any]:
    """Return the target of each image by file name."""
    found: dict[str, Any] = {}
    for split in data.splits.values():
        files: Any = split
        found |= {path.name: label for (path, _), label in zip(files.samples, files.labels.tolist(), strict=True)}
    return found


def require_words(error: DataError, words: str) -> None:
    """Check that an error has some words, in one line."""
    assert words in str(error)
    assert "\n" not in str(error)


MULTI = table("image,cat,dog", [1, 0, 1], [0, 1])


@pytest.mark.parametrize(
    ("text", "task", "outputs", "first"),
    [
        (table("image,kind", ["cat", "dog"]), "classification", ("cat", "dog"), 0),
        (table("image,class", [10, 9]), "classification", ("9", "10"), 1),
        (table("image,defect", [0, 1]), "classification", ("0", "1"), 0),
        (MULTI, "multi-label", ("cat", "dog"), [1.0, 0.0]),
        (table("image,cat,dog", ["True", "False"], ["false"] * 3 + ["true"]), "multi-label", ("cat", "dog"), [1, 0]),
        (table("image,tags", ["b; a", "c", ""]), "multi-label", ("a", "b", "c"), [1.0, 1.0, 0.0]),
        (table("image,tags", ["b|a,x", "b"]), "multi-label", ("a,x", "b"), [1.0, 1.0]),
        (table("image,age", [1.5, 2, 4]), "regression", ("age",), [1.5]),
        (table("image,age,size", [1, 2, 4], [-2e3, 5]), "regression", ("age", "size"), [1.0, -2000.0]),
    ],
)
def test_the_columns_tell_the_task(
    write: Write, text: str, task: str, outputs: tuple[str, ...], first: object, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "nasformer.data"):
        data = load(write(text.replace("b|a,x", '"b|a,x"')))
    assert (data.task.name, data.task.outputs) == (task, outputs)
    assert targets(data)["0.png"] == first
    assert len(targets(data)) == IMAGES
    assert f"{task}, inferred from {text.splitlines()[0].partition(',')[2].replace(',', ', ')}; task=" in caplog.text
    images, labels = next(iter(iterate(data.train, 4, seed=0)))
    assert (images.shape, labels.dtype) == ((4, 3, 8, 8), torch.int64 if task == "classification" else torch.float32)


def test_options_choose_columns_task_and_loss(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    path = write(table("image,note,age,part", ["old", "new"], [1, 2, 4], ["train", "train", "val", "test"]))
    data = load(path, "?targets=age&loss=smooth_l1&split=part")
    assert data.task.to_dict()["criterion"] == "smooth_l1"
    assert data.record["splits"] == {"train": 12, "search": 6, "test": 6}
    assert "regression, inferred from age; task= overrides" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "nasformer.data"):
        again = load(path, targets=["age"], task="classification", split="part")
    assert again.task.outputs == ("1", "2", "4")
    assert "inferred" not in caplog.text


def test_paths_are_relative_to_root_and_the_image_column_is_found(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(table("photo,kind", ["cat", "dog"]))
    data = load(path, root=folder)
    assert data.record["name"] == f"table:{path}?root={folder}"
    with pytest.raises(DataError, match=r"no column of image files in .*, only photo, kind; name it with image="):
        load(path)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"task": "regression", "targets": ["cat"]},
        {"targets": "dog,cat", "missing": "drop"},
        {"image": "image", "loss": "smooth_l1", "targets": "dog", "task": "regression"},
    ],
)
def test_the_recorded_name_loads_the_same_data(write: Write, options: dict[str, Any]) -> None:
    path = write(MULTI)
    data = load(path, seed=3, **options)
    again = load_dataset(data.record["name"], seed=data.record["seed"], image_size=8)
    assert again.record == data.record
    assert data.record["fingerprint"] != load(path, seed=4, **options).record["fingerprint"]


def test_an_option_overrides_that_of_the_name(write: Write) -> None:
    data = load(write(MULTI), "?targets=cat,dog&task=regression", task="multi-label")
    assert data.record["name"].endswith("?targets=cat,dog&task=multi-label")


def test_csv_and_parquet_are_the_same_data(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    rows = np.arange(IMAGES)
    frame = pd.DataFrame({"image": [f"{n}.png" for n in rows], "kind": [f"k{n % 2}" for n in rows]})
    frame = frame.assign(
        age=rows / 7, year=pd.array([2000 + n if n else None for n in rows], "Int64"), old=rows % 3 > 0
    )
    days = pd.date_range("2024-01-01", periods=IMAGES)  # not a target
    frame.assign(label=rows % 3 * 1.0, day=days).set_index(["image", "kind"]).to_parquet(tmp_path / "labels.parquet")
    frame.assign(label=rows % 3).to_csv(tmp_path / "labels.csv", index=False)
    for columns in ("kind", "age", "year", "age,year", "old", "label"):
        query = f"?missing=drop&targets={columns}"
        found = [load(tmp_path / f"labels.{suffix}", query, root=folder).record for suffix in ("csv", "parquet")]
        assert found[0]["fingerprint"] == found[1]["fingerprint"]
        assert found[0].get("task") == found[1].get("task")
        assert found[0].get("classes") == found[1].get("classes")


def test_faults_of_parquet_are_one_line(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "labels.parquet"
    pd.DataFrame({"image": ["0.png"], "tags": [["a", "b"]]}).to_parquet(path)
    with pytest.raises(
        DataError, match=r"row 1, column 'tags' holds \w+; a cell is text, a number, a boolean or a date"
    ):
        load(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"labels\.parquet' is not a readable Parquet file") as error:
        load(path)
    assert "\n" not in str(error.value)


def test_a_part_without_rows_is_held_out_of_train(write: Write) -> None:
    def sizes(parts: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = load(write(table("image,kind,split", ["cat"] * 4 + ["dog"] * 4, parts))).record[
            "splits"
        ]
        return found

    assert sizes(["train", "test"]) == {"train": 8, "search": 4, "test": 12}
    assert sizes(["TRAIN", "train", "train", "validation"])["search"] == 6
    assert sizes(["train"]) == {"train": 14, "search": 6, "test": 4}


def test_rows_with_missing_cells_are_dropped_when_asked(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    path = write(table("image,age", [1, 2, "NaN", 4]))
    with pytest.raises(DataError, match=r"row 3, column 'age': the cell is empty; .* missing=drop"):
        load(path)
    with caplog.at_level(logging.WARNING, "nasformer.data"):
        assert sum(load(path, missing="drop").record["splits"].values()) == 18
    assert "6 of 24 rows dropped for empty cells" in caplog.text


def test_a_repeated_row_counts_once(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "nasformer.data"):
        data = load(write(MULTI + "./0.png,1,0\n"))
    assert sum(data.record["splits"].values()) == IMAGES
    assert "1 repeated rows dropped" in caplog.text


SPLIT = ["train", "train", "search", "test"]


@pytest.mark.parametrize(
    ("text", "query", "message"),
    [
        ("", "", "has no rows; it must have one per image|column 1 of .* has no name|has no rows"),
        ("image,kind\n", "", r"labels\.csv' has no rows; it must have one per image"),
        ("image,image\n0.png,1\n", "", "has two columns 'image'; rename one"),
        (",image,kind\n0,0.png,cat\n", "", "column 1 of .* has no name; name it, or write the table without index"),
        ("image,kind\n0.png\n", "", "row 1 has 1 cells, but the header 2; quote cells that contain commas"),
        ('image,kind\n0.png,"cat\n', "", r"cannot read the label table .*labels\.csv': unexpected end of data"),
        ("a,b\n1,2\n", "", "no column of image files in .*, only a, b; name it with image="),
        ("image\n0.png\n", "", "no target column, only image; add one"),
        ("image,kind\n0.png,cat\nabsent.png,dog\n", "", r"row 2, column 'image': there is no file .*absent\.png"),
        ("image,kind\n0.png,cat\n,dog\n", "", "row 2, column 'image': the cell is empty"),
        ("image,kind\n0.png,cat\n1.png,nan\n", "", "row 2, column 'kind': the cell is empty"),
        ("image,kind\n,cat\n", "?missing=drop", "no row of .* has a cell in each of image, kind"),
        (
            "image,kind\n0.png,cat\n0.png,dog\n",
            "",
            "row 2, column 'kind': the image '0.png' is also in row 1, with 'cat'",
        ),
        (
            "image,kind,split\n0.png,cat,train\n1.png,cat,train\n./0.png,cat,test\n",
            "",
            "row 3, column 'split': the image './0.png' is also in row 1, with 'train', not 'test'",
        ),
        ("image,kind\n0.png,cat\n1.png,cat\n", "", "column 'kind' of .* has one class, 'cat'; add images of others"),
        (
            "image,kind\n0.png,cat\n1.png,cat\n2.png,dog\n",
            "",
            "class 'cat' has 2 images, too few for the splits train, search",
        ),
        ("image,age\n0.png,1\n1.png,2\n", "", "there are 2 images, too few for the splits train, search, test"),
        (table("image,age,note", [1, 2], ["a"]), "", "column 'note' holds text, among 2 target columns; .* targets="),
        (table("image,age,note", [1, 2], ["a"]), "?task=regression", "row 1, column 'note': 'a' is no number"),
        (table("image,age", [1, "inf"]), "", "row 2, column 'age': 'inf' is not a finite number"),
        (table("image,age", [1, "1e99"]), "", "row 2, column 'age': '1e99' is not a finite number"),
        (table("image,age", [5.5]), "", "target 'age' is the same in all train examples"),
        (table("image,a,b", [0, 1], [0, 1, 2]), "?task=multi-label", "row 3, column 'b': '2' is neither 0 nor 1"),
        (table("image,a,b", [0, 1], [0]), "", "label 'b' has no train image, no image at all; move or remove it"),
        (table("image,tags", [";"]), "?task=multi-label", "column 'tags' of .* has no label; write them as a;b"),
        (table("image,a,b", [0, 1], [0, 1]), "?task=classification", "classification has one target column, got a, b"),
        (
            table("image,kind,split", ["cat", "cat", "cat", "dog"], SPLIT),
            "",
            "class 'dog' has no train image, only test images; move or remove it",
        ),
        (
            table("image,a,b,split", [1, 0], [0, 0, 1, 1], SPLIT),
            "",
            "label 'b' has no train image, only search and test images",
        ),
        (
            table("image,a,b,split", [1, 0], [0, 1], ["trian"]),
            "",
            "row 1, column 'split': unknown split 'trian'; did you",
        ),
        (table("image,a,split", [1, 0], ["test"]), "", "column 'split' of .* has no row of split train"),
        (MULTI, "?tusk=regression", "has no option 'tusk'; did you mean 'task'"),
        (MULTI, "?task=a&task=b", "is given twice; keep one"),
        (MULTI, "?task", r"cannot read the options of .*; write \?key=value&key=value"),
        (MULTI, "?task=multilabel", "unknown task 'multilabel'; did you mean 'multi-label'"),
        (
            MULTI,
            "?task=forecasting",
            "forecasting does not learn from a label table; its task is one of classification",
        ),
        (MULTI, "?image=photo", "has no column 'photo'; known: cat, dog, image"),
        (MULTI, "?split=part", "has no column 'part'"),
        (MULTI, "?targets=cats", "has no column 'cats'; did you mean 'cat'"),
        (MULTI, "?targets=cat,cat", "column 'cat' of .* cannot be a target, or not twice"),
        (MULTI, "?targets=cat,image", "column 'image' of .* cannot be a target"),
        (MULTI, "?missing=ignore", "missing= is refuse or drop, got 'ignore'; known: drop, refuse"),
        (MULTI, "?loss=mse", "loss= is for regression, but the task is multi-label"),
        (MULTI, "?task=regression&loss=mae", "criterion of regression is mse or smooth_l1, got 'mae'"),
    ],
)
def test_each_fault_is_one_line(write: Write, text: str, query: str, message: str) -> None:
    path = write(text)
    with pytest.raises(DataError, match=message) as error:
        load(path, query)
    assert "\n" not in str(error.value)


def test_faults_of_the_file_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the label table .*absent\.csv': No such file"):
        load(tmp_path / "absent.csv")
    with pytest.raises(
        DataError, match=r"a label table is \.csv or \.parquet, got 'labels\.xlsx'; save one sheet as CSV"
    ):
        load(tmp_path / "labels.xlsx")
    (tmp_path / "latin.csv").write_bytes("image,kind\n0.png,Kühe\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"cannot read the label table .*latin\.csv': 'utf-8' codec"):
        load(tmp_path / "latin.csv")
    with pytest.raises(DataError, match="no option 'test_fraction'"):
        load(tmp_path / "labels.csv", test_fraction=0.2)
    (tmp_path / "labels.csv").write_text("image,kind\n0.png,cat\n")
    with pytest.raises(DataError, match="has no column '3'; known: image, kind"):
        load(tmp_path / "labels.csv", targets=3)
    with pytest.raises(DataError, match="the column 'a,b' cannot be named, as commas separate names"):
        join_name(TABLE, "labels.csv", {"targets": ["a,b"]})


def test_decoded_images_keep_their_targets(write: Write, tmp_path: Path) -> None:
    data = load(write(MULTI))
    decoded = decode_once(data.search, tmp_path)
    assert isinstance(decoded, DecodedImages)
    for place in range(len(decoded)):
        assert all(torch.equal(a, b) for a, b in zip(decoded[place], data.search[place], strict=True))
    for batches in zip(iterate(decoded, 4), iterate(data.search, 4), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(*batches, strict=True))


def test_two_names_of_a_table_have_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_of("table:a.csv?root=x&task=regression") == source_of(f"table:{tmp_path}/a.csv")
    assert source_of("table:a.csv?targets=a") == source_of("table:a.csv?targets=b") != source_of("table:b.csv")
    assert source_of("series:a.csv?horizon=1") == source_of("series:a.csv?splits=1,2,3") != source_of("table:a.csv")
    assert source_of("imagefolder:a?b") == f"imagefolder:{tmp_path}/a?b"
    assert (source_of("digits"), source_of(None)) == ("digits", None)


def test_other_targets_search_only_the_splits_of_the_training(write: Write) -> None:
    path = write(
        table("image,even,big,part,half", [1, 0], [0, 1, 1, 0], ["train", "val", "test"], ["test", "train", "train"])
    )
    trained = load(path, "?targets=even&split=part").record
    for query in ("?targets=big&split=part", "?targets=even,big&split=part&task=regression"):
        require_same_splits(load(path, query), f"table:{path}{query}", trained, "net")
    for query in ("?targets=big", "?targets=even", "?targets=even&split=half"):
        with pytest.raises(DataError, match=r"splits of .* differ from those in the training of net"):
            require_same_splits(load(path, query), f"table:{path}{query}", trained, "net")
    older = {key: value for key, value in trained.items() if key != "split_fingerprint"}
    require_same_splits(load(path, "?targets=even&split=part"), str(trained["name"]), older, "net")


@given(st.dictionaries(st.sampled_from(OPTIONS[TABLE]), st.text(st.characters(codec="utf-8"))))
def test_a_name_gives_its_options_back(options: dict[str, str]) -> None:
    for path in ("/a/b c.csv", "/a?b=c%.csv", "/%253F?%3F.csv"):
        rooted = options if not options.get("root") else {**options, "root": str(Path(options["root"]).absolute())}
        assert parse_name(join_name(TABLE, path, options)) == (TABLE, path, rooted)


@given(
    st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=8, max_size=40),
    st.integers(0, 3),
)
@example([[False] * 3] * 6 + [[False, True, True], [True, True, False]], 0)
def test_labels_are_stratified_and_all_trained(rows: list[list[bool]], seed: int) -> None:
    values = np.array(rows, dtype=np.float32)
    try:
        parts = stratified_labels(values, {"train": 0.6, "search": 0.2, "test": 0.2}, seed)
    except DataError as error:
        require_words(error, "too few for the splits train, search, test")
        return
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(rows)))
    assert (values[parts["train"]].any(axis=0) == values.any(axis=0)).all()


def test_a_share_of_each_label_is_held_out() -> None:
    values = (np.random.default_rng(0).random((2000, 5)) < [0.5, 0.2, 0.1, 0.05, 0.02]).astype(np.float32)
    parts = stratified_labels(values, {"train": 0.6, "search": 0.2, "test": 0.2}, seed=0)
    for name, share in (("train", 0.6), ("search", 0.2), ("test", 0.2)):
        assert values[parts[name]].sum(axis=0) / values.sum(axis=0) == pytest.approx(np.full(5, share), abs=0.03)


CELLS = {
    "text": st.sampled_from(["cat", "dog", "a;b", "b", "", "Ä, ö"]),
    "flag": st.sampled_from(["0", "1"]),
    "number": st.one_of(st.floats(-1e6, 1e6, width=32).map(repr), st.sampled_from(["", "inf", "3", "nan"])),
    "split": st.sampled_from(["train", "train", "train", "val", "test"]),
}


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[str]]:
    """Return columns by name, the kind of a column in its name."""
    count = draw(st.integers(1, IMAGES))
    kinds = draw(st.lists(st.sampled_from(["text", "flag", "flag", "number"]), min_size=1, max_size=3))
    names = [f"{kind}-{place}" for place, kind in enumerate(kinds)] + draw(st.sampled_from([[], ["split"]]))
    numbers = st.integers(0, IMAGES if draw(st.booleans()) else IMAGES - 1)
    unique = st.lists(numbers, min_size=count, max_size=count, unique=draw(st.booleans()))
    files = [f"{number}.png" for number in draw(unique)]
    columns = {name: CELLS[name.partition("-")[0]] for name in names}
    return {"image": files} | {k: draw(st.lists(v, min_size=count, max_size=count)) for k, v in columns.items()}


def expected(data: Dataset, cells: dict[str, str], columns: dict[str, list[str]]) -> Any:
    """Return the target of a row, by the task that was found."""
    texts = {name: cell for name, cell in cells.items() if name not in ("image", "split")}
    name, cell = next(iter(texts.items()))
    if data.task.name == "classification":
        return data.task.outputs.index(cell.removesuffix(".0"))
    if not name.startswith("text"):
        return [float(np.float32(text)) for text in texts.values()]
    mark = ";" if ";" in "".join(columns[name]) else ","
    own = {label.strip() for label in cell.split(mark)}
    assert own <= {*data.task.outputs, ""}
    return [float(label in own) for label in data.task.outputs]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(columns=tables(), seed=st.integers(0, 2), drop=st.booleans())
def test_any_table_is_a_partition_of_its_rows_or_one_line(
    folder: Path, columns: dict[str, list[str]], seed: int, drop: bool
) -> None:
    path = folder / "any.csv"
    with path.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([list(columns), *zip(*columns.values(), strict=True)])
    try:
        data = load(path, "?missing=drop" if drop else "", seed=seed)
    except DataError as error:
        require_words(error, "")
        return
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    rows.sort(key=lambda row: {"", "nan"}.isdisjoint(row.values()))  # the last of an image is one that was not dropped
    by_file = {row["image"]: row for row in rows}
    found = targets(data)
    assert sum(map(len, data.splits.values())) == len(found)
    assert drop or set(found) == set(by_file)
    for file, target in found.items():
        assert target == expected(data, by_file[file], columns)
    if "split" in columns:
        for name, split in data.splits.items():
            files: Any = split
            own = {by_file[file.name]["split"].replace("val", "search") for file, _ in files.samples}
            assert own <= {name, "train"}
