"""What bad input gets: one line that names it, exit code 2, no traceback, and nothing already done is lost."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nasformer.cli.options import file_name, run_folder
from nasformer.space import load_space

Refused = Callable[..., None]
Snapshot = Callable[[], dict[str, str]]


def declare(name: str, **changes: Any) -> str:
    """Write the digits space with some keys changed, or left out where None."""
    declared = {**load_space("digits").to_dict(), **changes}
    Path(name).write_text(yaml.safe_dump({k: v for k, v in declared.items() if v is not ...}))
    return name


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


SPACES: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt": ({"embed_dim": ..., "embed_dims": {"choice": [32]}}, "'embed_dims'.* did you mean 'embed_dim'"),
    "surplus": ({"head_dims": 16}, "'head_dims'; did you mean 'head_dim'"),
    "missing": ({"depth": ...}, "lacks 'depth'"),
    "empty choice": ({"num_heads": {"per_layer": []}}, "num_heads: per_layer.* is empty"),
    "misspelt kind": ({"depth": {"choise": [2]}}, "depth takes choice.*'choise'"),
    "head_dim 0": ({"head_dim": 0}, "head_dim must be a whole number of at least 1, got 0"),
    "patch": ({"patch_size": 3}, "patch_size 3 does not divide image_size 8"),
    "supernet": ({"supernet": {"embed_dim": 48}}, "supernet embed_dim 48 is below the largest choice 64"),
    "supernet is no mapping": ({"supernet": 5}, "supernet.*5"),
    "constraint": ({"constraints": "parms <= 6M"}, "'parms'.* did you mean 'params'"),
}


@pytest.mark.parametrize("case", SPACES)
def test_a_space_that_is_declared_wrongly(case: str, refused: Refused) -> None:
    changes, message = SPACES[case]
    for command in ("spaces", "cost", "search"):
        refused(f"bad.yaml.*{message}", command, declare("bad.yaml", **changes))


@pytest.mark.parametrize(
    "content",
    ["a: [1", "", "3", "SUPERNET: 3", "SUPERNET: {}\nSEARCH_SPACE: 4", "!!python/object:os.system {}"],
    ids=repr,
)
def test_a_file_that_declares_no_space(content: str, refused: Refused) -> None:
    Path("bad.yaml").write_text(content)
    refused("bad", "spaces", "bad.yaml")


COMMANDS: dict[str, tuple[str, str]] = {
    "space": ("search digit", "no built-in space 'digit'; did you mean 'digits'"),
    "strategy": ("search digits --strategy evolutoin", "unknown strategy 'evolutoin'; did you mean 'evolution'"),
    "module": ("search digits --strategy no.such:Thing", "'no.such:Thing' cannot be imported: No module named 'no'"),
    "no class": (
        "search digits --strategy json:dumps",
        "'json:dumps' is not a strategy: it lacks ask, tell, recommend",
    ),
    "half a class": ("search digits --strategy json:", "strategy 'json:'.*module:Class"),
    "option": (
        "search digits --strategy evolution -o populatoin=3",
        "no option 'populatoin'; did you mean 'population'",
    ),
    "option value": ("search digits --strategy evolution -o population=many", "population.*'many'"),
    "option fraction": ("search digits --strategy evolution -o parents=2.5 -n 60", "parents.*2.5"),
    "option yaml": ("search digits -o population=[3", r"--option.*population=\[3"),
    "our own option": ("search digits -o seed=3", "'seed' is not a strategy option"),
    "no option": ("search digits -o population", "--option takes KEY=VALUE, got 'population'"),
    "budget": ("search digits --params 10K", r"params <= 10000; the nearest reachable params is 15,082 \(smallest"),
    "budget upside down": ("search digits --params 60K:50K", "lower bound 60,000 above its upper bound 50,000"),
    "budget word": ("search digits --params few", "'few' is not a number"),
    "two budgets": ("search digits --params 20K --macs 900K:950K", "though each limit can be met alone"),
    "fitness": ("search digits --fitness tabel:t.csv", "unknown fitness 'tabel:t.csv'"),
    "table": ("search digits --fitness table:t.csv", "cannot read the table 't.csv'.*No such file"),
    "table of ours": ("search digits --fitness table:digits", "a table is .jsonl.*digits-exhaustive; got 'digits'"),
    "noise": ("search digits --fitness training-free --noise -1", "noise must be a standard deviation.*-1"),
    "noise of what": ("search digits --noise 1", "no trained weights for space 'digits'"),
    "surrogate of nothing": ("surrogate no.jsonl", "cannot read the table 'no.jsonl'"),
    "fit": ("search digits --fitness fit:t.csv", "cannot read the table 't.csv'"),
    "surrogate": ("search digits --fitness surrogate:s.json", "cannot read the surrogate 's.json'"),
    "no weights": ("search digits --fitness inherited", "no trained weights for space 'digits'"),
    "supernet": ("search digits --supernet no.safetensors", "cannot read the checkpoint no.safetensors"),
    "data without supernet": ("search digits --data fashion-mnist -n 2", "no trained weights for space 'digits'"),
    "storage": ("search digits -n 2 --fitness training-free --storage redis://x", "redis://x"),
    "evaluations": ("search digits -n 0", "--evaluations"),
    "dataset": ("train digits --data digit", "unknown dataset 'digit'; did you mean 'digits'"),
    "latency without table": ("search digits --latency 3ms", "--latency 3ms needs --latency-table FILE"),
    "dataset of space": (
        "train autoformer-tiny",
        "the space 'autoformer-tiny' has no dataset of its name; give --data PHOTOS",
    ),
    "image size": (
        "train autoformer-tiny --data digits",
        "does not fit num_classes 10, image_size 8, in_channels 1: patch_size 16 does not divide",
    ),
    "folder": ("train digits --data imagefolder:nowhere", "nowhere"),
    "recipe": ("train digits --recipe no.yaml", "cannot read the recipe no.yaml: No such file"),
    "device": ("train digits --device tpu", "device 'tpu' cannot be used"),
    "epochs": ("train digits --epochs 0", "--epochs"),
    "run": ("evaluate nowhere", "nowhere"),
    "no folder": ("evaluate runs/nowhere", "there is no file or folder 'runs/nowhere'"),
    "no file": ("search space.yml.bak", "there is no file or folder 'space.yml.bak'"),
    "no network": ("export runs/finetuned", "there is no file or folder 'runs/finetuned'"),
    "racing": (
        "search digits --fitness training-free --racing",
        "only fitness 'inherited' supports objective",
    ),
    "split": ("evaluate digits --split train", "--split is test or search, got 'train'"),
    "architecture": ("cost digits huge", "architecture 'huge' is none of smallest, centroid, largest"),
    "json": ("cost digits {", "not valid JSON"),
    "unknown option": ("search digits --nope", "No such option: --nope"),
    "unknown command": ("serach digits", "No such command 'serach'"),
    "no argument": ("search", "Missing argument 'SPACE'"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_a_command_that_cannot_be_done(
    case: str, refused: Refused, snapshot: Snapshot, caplog: pytest.LogCaptureFixture
) -> None:
    command, message = COMMANDS[case]
    refused(message, *command.split())
    assert not caplog.records, "a warning before the error is a second line"
    assert not snapshot(), "nothing is written"


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"num_classes": 7}, "num_classes 10, but space 'digits' declares 7"), ({"in_channels": 3}, "in_channels 1.*3")],
)
def test_a_dataset_that_does_not_fit_the_space(changes: dict[str, Any], message: str, refused: Refused) -> None:
    refused(message, "train", declare("other.yaml", **changes), "--data", "digits", "--json")


def test_an_objective_that_there_is_not(weights: Path, refused: Refused) -> None:
    refused(
        "objective is 'accuracy', 'loss', 'balanced_accuracy' or 'macro_f1' for classification, got 'speed'",
        "search",
        "digits",
        "--objective",
        "speed",
        "--supernet",
        weights,
    )


def test_a_checkpoint_of_another_space_names_each_difference(weights: Path, refused: Refused) -> None:
    other = declare("other.yaml", depth={"choice": [2, 3]}, head_dim=8, supernet={})
    for command in (["search", other, "-n", 2], ["evaluate", other]):
        refused("belongs to another space.*depth: .*head_dim: 8 against 16.*supernet", *command, "--supernet", weights)
        refused("^(?!.*embed_dim: )(?!.*pooling)", *command, "--supernet", weights)


@pytest.mark.parametrize("size", [0, 5, 100, -1, "garbage"])
def test_a_corrupt_checkpoint(size: int | str, weights: Path, refused: Refused) -> None:
    content = weights.read_bytes()
    Path("bad.safetensors").write_bytes(b"\xff" * 500 if size == "garbage" else content[: int(size)])
    for command in ("search", "evaluate"):
        refused("cannot read the checkpoint bad.safetensors", command, "digits", "--supernet", "bad.safetensors")


def test_a_run_that_is_damaged_or_of_other_weights(weights: Path, refused: Refused, nasformer: Any) -> None:
    assert nasformer("search", "digits", "-n", 2, "--out", "run", "-q").code == 0
    header, *rest = Path("run/result.jsonl").read_text().splitlines(keepends=True)
    data = json.loads(header)
    data["result"]["settings"]["fitness"]["weights"] = "0123456789abcdef"
    Path("run/result.jsonl").write_text("".join([json.dumps(data) + "\n", *rest]))
    refused("used the weights 0123456789abcdef of .*, which has others by now; give its supernet", "evaluate", "run")
    other = ("--supernet", weights)
    refused("the search used the weights 0123456789abcdef, but these are", "evaluate", "run", *other)
    Path("run/result.jsonl").write_text(header + rest[0])
    refused(r"run/result.jsonl' is truncated: 1 of 2 trials", "evaluate", "run")


def test_more_failures_than_allowed_and_the_trials_are_kept(refused: Refused, snapshot: Snapshot) -> None:
    space = load_space("digits")
    scores = {"intercept": 1, "embed_dim": {"32": 0, "48": 0, "64": 0}, "depth": {"2": 0, "3": 0, "4": 0}}
    layer = {"num_heads": {"2": 0, "3": 0, "4": 0}, "mlp_ratio": {"1": 0, "2": 0, "3": 1e400}}
    assert space.codec.max_depth == 4
    Path("s.json").write_text(json.dumps({**scores, "layers": [layer] * 4}).replace("Infinity", "1e400"))
    refused(
        "3 evaluations failed, more than max_failures=2|is not a surrogate",
        *(
            [
                "search",
                "digits",
                "--fitness",
                "surrogate:s.json",
                "-n",
                "50",
                "--strategy",
                "random",
                "--max-failures",
                "2",
                "--out",
                "run",
                "-q",
            ]
        ),
    )


@pytest.fixture
def full_disk(program: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the program where no file may grow beyond so many blocks of 512 or 1024 bytes."""

    def call(blocks: int, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = ["sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh", program, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return call


def test_a_full_disk_while_training_keeps_the_earlier_weights(
    weights: Path, full_disk: Any, snapshot: Snapshot, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "supernet.safetensors").write_bytes(weights.read_bytes())
    before = snapshot()
    done = full_disk(100, "train", "digits", "--epochs", 1, "--out", "out", "--device", "cpu", "-q")
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    after = snapshot()
    assert {path: after[path] for path in before} == before
    assert not [path for path in after if path.endswith(".part")]


def test_a_full_disk_while_searching_keeps_the_trials(weights: Path, full_disk: Any, nasformer: Any) -> None:
    command = ["search", "digits", "-n", 20, "--out", "run", "-q", "--device", "cpu"]
    done = full_disk(12, *command)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "study.log" in done.stderr
    summary = json.loads(nasformer(*command, "--json").out)
    assert 0 < summary["counts"]["replayed"] < 20
    assert summary["evaluations"] == 20


@pytest.mark.parametrize(
    "command", ["search digits --fitness training-free -n 2 -q", "train digits --epochs 1 -q --json"]
)
@pytest.mark.parametrize("out", ["/dev/full", "/proc/nasformer", "file/below"])
def test_a_folder_that_cannot_be_made(command: str, out: str, refused: Refused, snapshot: Snapshot) -> None:
    Path("file").write_text("mine")
    before = snapshot()
    refused(out, *command.split(), "--out", out)
    assert snapshot() == before


def test_a_training_that_is_there_is_not_overwritten(
    trained: Path, weights: Path, refused: Refused, snapshot: Snapshot, tmp_path: Path
) -> None:
    (tmp_path / "training.pt").write_bytes((trained / "out" / "training.pt").read_bytes())
    before = snapshot()
    command = ["train", "digits", "--epochs", 2, "--out", tmp_path, "--json"]
    refused("already holds a training.*--resume", *command)
    refused("belongs to another training: .*seed 0 there, 1 here", *command, "--resume", "--seed", 1)
    assert snapshot() == before
    (tmp_path / "training.pt").write_bytes(b"torn")
    refused("cannot read .*training.pt.*remove it to start anew", *command, "--resume")


def test_the_program_itself_prints_one_line(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [program, "search", "digits", "--params", "10"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "15,082" in done.stderr


def test_with_json_an_error_is_json_too(nasformer: Any) -> None:
    for arguments in (
        ("spaces", "none.yaml"),
        ("cost", "digits", "--params", "many"),
        ("search", "digits", "--nothing"),
    ):
        code, out, err = nasformer(*arguments, "--json")
        assert (code, f"error: {json.loads(out)['error']}\n") == (2, err)
        assert nasformer(*arguments).out == ""


DEEP = "[" * 1000 + "]" * 1000
HUGE = "1" + "0" * 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cost", "digits", f'{{"embed_dim": {DEEP}}}'), "nested more than 64 deep"),
        (("cost", "digits", f'{{"embed_dim": {HUGE}, "num_heads": [1], "mlp_ratio": [1]}}'), "has 401 digits"),
        (("cost", "digits", '{"embed_dim": 32, "num_heads": [1], "mlp_ratio": [1e308]}'), "at most, got 1e"),
        (
            ("cost", "digits", '{"embed_dim": 32, "num_heads": [1], "mlp_ratio": [Infinity]}'),
            "mlp_ratio must be .*, got inf",
        ),
        (("cost", "digits", "--params", "9.9e18"), "more than any network costs"),
        (("search", "digits", "-o", f"population={DEEP}"), "--option 'population=.* is not a number, string or list"),
        (("search", "digits", "-o", "population=!!int x"), "is not a number, string or list"),
    ],
    ids=["deep", "digits", "1e308", "Infinity", "9.9e18", "deep option", "tag"],
)
def test_a_number_or_nesting_beyond_every_network(arguments: Any, message: str, refused: Refused) -> None:
    refused(message, *arguments)


@pytest.mark.parametrize("name", ["../../../x", "/tmp/x", "..", "a/../../x"])
def test_a_name_leads_to_no_other_folder(name: str, tmp_path: Path, weights: Path) -> None:
    folder = run_folder(f"{name}-supernet")
    assert folder.resolve().parent == tmp_path / "runs"
    assert run_folder("digits-supernet") == Path("runs/digits-supernet")
    assert Path(file_name(f"{name}-latency.json")).resolve().parent == tmp_path


def test_a_space_of_more_members_than_python_writes(nasformer: Any) -> None:
    layers = {"low": 1, "high": 400, "step": 1}
    many = {"num_heads": {"per_layer": layers}, "mlp_ratio": {"per_layer": layers}, "supernet": None}
    declare("big.yaml", depth={"choice": [900]}, **many)
    assert re.search(r"digits: \d\.\de\+4684 architectures", nasformer("spaces", "big.yaml").out)
    assert json.loads(nasformer("spaces", "big.yaml", "--json").out)[0]["size"] is None
