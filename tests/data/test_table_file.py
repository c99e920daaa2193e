"""Text files of tables: byte-order marks are read over, and what no reader takes is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasformer.data.label_table import LabelTable
from nasformer.data.series_file import read_series
from nasformer.errors import DataError, FitnessError
from nasformer.fitness import TableFitness

LONG = "x" * 200_000
NUMBER = "1" * 401
ROW = 'embed_dim,num_heads,mlp_ratio,top1\n{},"[2, 2]","[1, 1]",{}\n'


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\ufeffimage,label\na.png,1\n", encoding="utf-8")
    assert list(LabelTable.read(path).columns) == ["image", "label"]
    path.write_text("\ufeffdate,a\n2024-01-01,1\n2024-01-02,2\n", encoding="utf-8")
    assert read_series(path).names == ("a",)
    path.write_text("\ufeff" + ROW.format(32, 70), encoding="utf-8")
    assert len(TableFitness(path).architectures) == 1


@pytest.mark.parametrize(
    ("dim", "value", "words"),
    [
        ("32", LONG, r"field larger than field limit \(131072\)"),
        (NUMBER, "70", "row 1: dimensions are JSON"),
        ("[" * 1000, "70", "row 1: dimensions are JSON"),
        ("32", NUMBER, "row 1: top1 is 111"),
    ],
    ids=["long", "digits", "deep", "value"],
)
def test_a_table_beyond_a_limit_is_one_line(dim: str, value: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(ROW.format(dim, value))
    with pytest.raises(FitnessError, match=words) as caught:
        TableFitness(tmp_path / "t.csv")
    assert "\n" not in str(caught.value)


def test_a_field_beyond_the_limit_of_csv_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"image,label\n{LONG},1\n")
    with pytest.raises(DataError, match=r"cannot read the label table .*field limit \(131072\)$"):
        LabelTable.read(tmp_path / "t.csv")


@pytest.mark.parametrize(("cell", "words"), [(NUMBER, "beyond the range of numbers"), (LONG, "row 2 holds 'xxx")])
def test_a_value_that_no_float_holds_is_one_line(cell: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"date,a\n2024-01-01,1\n2024-01-02,{cell}\n")
    with pytest.raises(DataError, match=words) as caught:
        read_series(tmp_path / "t.csv")
    assert len(str(caught.value)) < 300
