"""Keep a diagnosis: its JSON and page under ``results/``, its tables in ``README.md`` and ``docs/diagnosis.md``.

``nasformer diagnose`` makes it; the command that made the one that is kept is on its page.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._marks import markdown, put
from nasformer.diagnose import PIECES
from nasformer.diagnose.claims import ABLATION
from nasformer.errors import NasformerError

HERE = Path(__file__).parent
README, DOCUMENT = HERE.parent / "README.md", HERE.parent / "docs" / "diagnosis.md"
_SIZES = {
    "images": "{pool} architectures",
    "curse": "{pool} architectures",
    "strategies": "3 strategies × {searches} seeds × {evaluations} evaluations on {search_images:,} images",
    "fidelity": "{architectures} retrained for {alone} epochs, {finetuned} fine-tuned for {tuned}",
    "sharing": "supernets of {shared} epochs, 4 searches, their winners retrained for {alone} epochs",
    "winner": "2 architectures × {retrainings} seeds × {last} epochs",
}

JsonObject = dict[str, Any]


def tables(found: JsonObject) -> dict[str, str]:
    """Return the tables of a diagnosis by the name of their place."""
    brief, whole = ("claim", "paper", "here", "verdict"), ("claim", "paper", "here", "verdict", "why")
    return {
        "verdicts": claims(found, brief),
        "claims": claims(found, whole),
        "ablation": ablation(found),
        "pieces": pieces(found),
    }


def claims(found: JsonObject, columns: Sequence[str]) -> str:
    """Return the paper's claims and what became of them."""
    return markdown(columns, [[claim[column] for column in columns] for claim in found["claims"]])


def ablation(found: JsonObject) -> str:
    """Return the paper's ablation beside ours."""
    rows = []
    for row in found["pieces"]["sharing"]["ablation"]:
        inherited, retrained = ABLATION[row["sharing"], row["strategy"]]
        there = [f"{inherited:.1f}", f"{retrained:.1f}"]
        rows.append([row["sharing"], row["strategy"], *there, f"{row['inherited']:.2f}", f"{row['retrained']:.2f}"])
    header = ["weights", "search", "paper: inherited", "paper: retrained", "here: inherited", "here: retrained"]
    return markdown(header, rows)


def pieces(found: JsonObject) -> str:
    """Return what each piece measured, and how long its trainings and searches took."""
    epochs = {
        "alone": found["recipe"],
        "tuned": found["finetuning"],
        "shared": found["sharing"],
        "last": found["final"],
    }
    sizes = {**found["sizes"], **{name: recipe["epochs"] for name, recipe in epochs.items()}}
    rows = []
    for name, words in _SIZES.items():
        seconds = found["pieces"][name].get("seconds")
        rows.append([f"`{name}`", words.format(**sizes), "" if seconds is None else f"{seconds / 60:.0f}"])
    return markdown(["piece", "size", "minutes, sequential"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables, and keep them where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("diagnosis", type=Path, help="folder of nasformer diagnose")
    parser.add_argument("--write", action="store_true", help="keep it in results/, README.md and docs/diagnosis.md")
    given = parser.parse_args(arguments)
    try:
        found = json.loads((given.diagnosis / "diagnosis.json").read_text(encoding="utf-8"))
        if missing := [name for name in PIECES if name not in found["pieces"]]:
            raise NasformerError(f"{given.diagnosis} has no {', '.join(missing)} yet; run nasformer diagnose", missing)
        told = tables(found)
        if given.write:
            shutil.copy(given.diagnosis / "report.html", HERE / "results" / "diagnosis.html")
            for name, table in told.items():
                put(README if name == "verdicts" else DOCUMENT, name, table)
            shutil.copy(given.diagnosis / "diagnosis.json", HERE / "results" / "diagnosis.json")
    except (NasformerError, OSError, json.JSONDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(told.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
