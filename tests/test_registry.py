"""The registry: names come from files and entry points, and a wrong one gets the nearest."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from nasformer.data import load_dataset
from nasformer.errors import DataError, FitnessError, SpaceError, StrategyError
from nasformer.fitness import NoisyFitness, SurrogateFitness, TableFitness, TrainingFreeFitness
from nasformer.fitness.regression import RegressionFitness
from nasformer.registry import get_strategy, make_fitness, strategy_names
from nasformer.search import BaseStrategy
from nasformer.space import SearchSpace, load_space, space_names
from nasformer.space.declaration import write_space
from nasformer.supernet import Supernet
from nasformer.training import bind_weights
from nasformer.training.opening import open_supernet

MODULE = '''
from nasformer.search import BaseStrategy

class Mine(BaseStrategy):
    def propose(self):
        return self.draw()

def no_strategy():
    """Has no ask."""
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A strategy in a package of somebody else."""
    (tmp_path / "somebodys_search.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "somebodys_search"


@pytest.fixture
def installed(module: str, tmp_path: Path) -> str:
    """The same, installed with an entry point."""
    info = tmp_path / "somebodys_search-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-search\nVersion: 1.0\n")
    lines = [
        "[nasformer.strategies]",
        f"mine = {module}:Mine",
        "gone = no_such_module:Gone",
        f"odd = {module}:no_strategy",
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return "mine"


def test_every_file_is_a_name_and_every_name_a_strategy(root: Path) -> None:
    files = {path.stem.replace("_", "-") for path in (root / "strategies").glob("[!_]*.py")}
    assert files <= set(strategy_names())
    for name in files:
        strategy = get_strategy(name)
        assert isinstance(strategy, type)
        assert issubclass(strategy, BaseStrategy)
    assert {path.stem for path in (root / "spaces").glob("*.yaml")} == set(space_names())
    assert all(load_space(name).name == name for name in space_names())


def test_a_strategy_of_others_comes_by_module_and_class(module: str) -> None:
    factory = get_strategy(f"{module}:Mine")
    strategy = factory(load_space("digits").feasible(params=60e3), seed=0)
    assert len(set(strategy.ask(5))) == 5


def test_a_strategy_of_others_comes_by_entry_point(installed: str) -> None:
    assert {installed, "gone", "odd"} <= set(strategy_names())
    assert get_strategy(installed).__name__ == "Mine"
    with pytest.raises(StrategyError, match="'gone' cannot be imported: No module named 'no_such_module'"):
        get_strategy("gone")
    with pytest.raises(StrategyError, match="'odd' is not a strategy: it lacks ask, tell, recommend"):
        get_strategy("odd")
    with pytest.raises(StrategyError, match="unknown strategy 'mien'; did you mean 'mine'"):
        get_strategy("mien")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("evolutoin", r"unknown strategy 'evolutoin'; did you mean 'evolution'\?"),
        ("gradient", r"unknown strategy 'gradient'; known: .*evolution.*tpe"),
        ("", "unknown strategy ''; known: "),
        ("no.such:Thing", "strategy 'no.such:Thing' cannot be imported: No module named 'no'"),
        ("json:Thing", "'json:Thing' cannot be imported: .*'Thing'"),
        ("json:", "'json:'.*module:Class"),
        (":", "':'.*module:Class"),
    ],
)
def test_a_wrong_strategy_is_named_with_the_way_out(name: str, message: str) -> None:
    with pytest.raises(StrategyError, match=message) as caught:
        get_strategy(name)
    assert caught.value.value == name


def test_a_space_comes_by_name_path_or_as_itself(tmp_path: Path) -> None:
    space = load_space("digits")
    assert load_space(space) is space
    for suffix in (".yaml", ".yml", ".json"):
        write_space(space, tmp_path / f"mine{suffix}")
        assert load_space(tmp_path / f"mine{suffix}") == load_space(str(tmp_path / f"mine{suffix}")) == space


@pytest.mark.parametrize("name", ["digit", "", ".", "autoformer_tiny", "autoformer"])
def test_a_wrong_space_is_named(name: str) -> None:
    with pytest.raises(SpaceError, match=rf"no built-in space {re.escape(repr(name))}; .*\.yaml or \.json"):
        load_space(name)


def test_fitnesses_come_by_name(tmp_path: Path) -> None:
    space = load_space("digits")
    (tmp_path / "t.jsonl").write_text('{"embed_dim": 32, "num_heads": [2, 2], "mlp_ratio": [1, 1], "top1": 3}\n')
    assert isinstance(make_fitness(f"table:{tmp_path / 't.jsonl'}", space), TableFitness)
    assert isinstance(make_fitness("training-free", space), TrainingFreeFitness)
    assert make_fitness("training-free?proxy=dss", space).describe()["proxy"] == "dss"  # type: ignore[attr-defined]


def test_a_table_of_ours_comes_by_name_and_is_fitted_by_name() -> None:
    space = load_space("digits")
    table, fitted = make_fitness("table:digits-exhaustive", space), make_fitness("fit:digits-exhaustive", space)
    assert isinstance(table, TableFitness)
    assert isinstance(fitted, SurrogateFitness)
    assert fitted.quality["rmse"] > 0
    assert len(table.architectures) == space.size()


def test_a_column_and_a_model_come_with_the_name_of_a_table(tmp_path: Path) -> None:
    space, path = load_space("digits"), tmp_path / "t?.jsonl"
    rows = [
        {**each.to_dict(), "top 5": each.embed_dim + each.depth} for each in dict.fromkeys(space.sample(60, seed=1))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    named = str(path).replace("?", "%3F")
    table = make_fitness(f"table:{named}?column=top+5", space)
    assert isinstance(table, TableFitness)
    assert table.value == "top 5"
    fitted = make_fitness(f"fit:{named}?column=top 5&model=trees", space)
    assert isinstance(fitted, RegressionFitness)
    assert fitted.describe()["model"] == "trees"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("table:t.jsonl?colum=x", "has no option 'colum'; did you mean 'column'"),
        ("table:t.jsonl?model=trees", "has no option 'model'; known: column"),
        ("fit:t.jsonl?trees=9", "has no option 'trees'; known: column, model"),
        ("fit:t.jsonl?trees", r"cannot read the options of 'fit:t.jsonl\?trees': .*; write \?key=value"),
        ("fit:digits-exhaustive?model=tree", "unknown model 'tree'; did you mean 'trees'"),
        ("table:digits-exhaustive?column=top5", "no column 'top5'; it has "),
        ("training-free?proxy=ds", "unknown proxy 'ds'; did you mean 'dss'"),
        ("training-free?prox=dss", "has no option 'prox'; did you mean 'proxy'"),
    ],
)
def test_a_wrong_option_of_a_fitness_is_named(spec: str, words: str) -> None:
    with pytest.raises(FitnessError, match=words):
        make_fitness(spec, load_space("digits"))


def test_noise_comes_with_any_fitness() -> None:
    space = load_space("digits")
    noisy = make_fitness("table:digits-exhaustive", space, noise=0.5, noise_seed=3)
    assert isinstance(noisy, NoisyFitness)
    assert noisy.describe()["noise"] == {"sd": 0.5, "seed": 3, "confirmation_sd": 0.5}
    assert isinstance(make_fitness("table:digits-exhaustive", space, noise_seed=3), TableFitness)
    with pytest.raises(FitnessError, match=r"noise must be a standard deviation of 0 or more, got -1"):
        make_fitness("training-free", space, noise=-1)


@pytest.mark.parametrize(
    "spec",
    [
        "tabel:t",
        "table",
        "table:",
        "inherited:x",
        "training_free",
        "",
        "surrogate",
        "fit",
        "training-free:3",
        "inherited?x",
    ],
)
def test_a_wrong_fitness_is_named(spec: str) -> None:
    with pytest.raises(
        FitnessError, match=re.escape(f"unknown fitness {spec!r}; ") + "(did you mean|known: fit:TABLE, inherited)"
    ):
        make_fitness(spec, load_space("digits"))


def test_weights_that_do_not_say_their_data_need_it_named(tmp_path: Path) -> None:
    space = load_space("digits")
    with pytest.raises(FitnessError, match="no trained weights for space 'digits'; run 'nasformer train'"):
        open_supernet(space)
    kept = bind_weights(space, Supernet(space).save(tmp_path / "net.safetensors"))
    with pytest.raises(FitnessError, match=rf"{kept} does not record its dataset; give --data NAME"):
        open_supernet(space)
    net, data = open_supernet(space, data="digits")
    assert (net.space, data.name) == (space, "digits")


def test_data_split_otherwise_than_in_training_is_refused(tmp_path: Path) -> None:
    space, path = load_space("digits"), tmp_path / "net.safetensors"
    record = {"name": "digits", "seed": 3, "fingerprint": "of other files"}
    Supernet(space).save(path, {"training": {"data": record}})
    with pytest.raises(DataError, match=r"splits of 'digits' differ from those in the training of .*net.safetensors"):
        open_supernet(space, supernet=path)
    record["fingerprint"] = load_dataset("digits", seed=3).record["fingerprint"]
    Supernet(space).save(path, {"training": {"data": record}})
    _, data = open_supernet(space, supernet=path)
    assert data.record["seed"] == 3


def test_weights_without_a_record_judge_images_of_files(tmp_path: Path) -> None:
    """As official weights do, which say nothing of their training."""
    space = SearchSpace.from_dict({**load_space("digits").to_dict(), "in_channels": 3, "num_classes": 2})
    for place in [tmp_path / "images" / part / label for part in ("train", "val") for label in "ab"]:
        place.mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(place / f"{number}.png")
    path = Supernet(space).save(tmp_path / "net.safetensors")
    _, data = open_supernet(space, supernet=path, data=f"imagefolder:{tmp_path / 'images'}")
    assert (len(data.train), len(data.search), len(data.test)) == (18, 2, 20)


def test_weights_of_candidates_say_that_others_are_not_trained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = load_space("digits")
    net = Supernet(space)
    record = {"data": load_dataset("digits").record}
    for trained, warned in ((record, False), ({**record, "candidates": [space.smallest.to_dict()] * 3}, True)):
        net.metadata = {"training": trained}
        make_fitness("inherited", space, supernet=net.save(tmp_path / "net.safetensors"), device="cpu")
        assert ("these weights trained 3 candidates only" in caplog.text) == warned
