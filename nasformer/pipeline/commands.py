"""commands: the commands that do what a run of ``fit`` did, stage by stage, on its folder."""

from __future__ import annotations

import shlex
from pathlib import Path

from nasformer._parse import parse_json, read_text
from nasformer.latency.memory import BYTES
from nasformer.pipeline.journal import FILE


def commands(folder: Path) -> list[str]:
    """Return the commands. ``fit`` searches each budget with what the smaller networks have learnt (``nf.grow_front``).

    Args:
        folder: A finished run.
    """
    run = parse_json(read_text(folder / FILE))
    given, stages = run["arguments"], run["stages"]
    data = str(given["data"]).removeprefix("imagefolder:")
    space, weights = f"{folder}/space.yaml", f"{folder}/supernet/supernet.safetensors"
    told = [["data", data]]
    start: list[str] = [space]
    if given["timm"] or given["transformers"]:
        model = ["--transformers", given["transformers"]] if given["transformers"] else [given["timm"]]
        model += ["--weights", given["weights"]] if given["weights"] else []
        model += [text for name, value in given["timm_options"].items() for text in ("-o", f"{name}={value}")]
        told.append(["from-timm", *model, "--data", data, "--out", f"{folder}/family"])
        start = ["--supernet", f"{folder}/family/supernet.safetensors"]
    told.append(["train", *start, "--data", data, "--recipe", f"{folder}/recipe.yaml", "--out", f"{folder}/supernet"])
    table = ["--latency-table", f"{folder}/latency.json"] if "latency" in stages else []
    if table:
        told.append(["latency", space, "--out", f"{folder}/latency.json"])
    for number, each in enumerate(given["budgets"], 1):
        own = dict(each)
        if (memory := own.pop("memory", None)) is not None:  # a search bounds the weights, which are most of it
            own["params"] = min(own.get("params", memory), memory // BYTES["fp32"])
        bounds = [text for name, most in own.items() for text in (f"--{name.removesuffix('_ms')}", f"{most:.10g}")]
        search = ["search", space, "--supernet", weights, "--strategy", given["strategy"], "--objective", "loss"]
        share = str(max(1, given["evaluations"] // len(given["budgets"])))
        told.append(
            [*search, "--racing", "--batch-size", "10", "-n", share, *bounds, *table, "--out", f"{folder}/{number}"]
        )
        told.append(["finetune", f"{folder}/{number}", "--out", f"{folder}/networks/{number}"])
        told.append(["export", f"{folder}/networks/{number}", "--format", stages["files"]["decision"]["format"]])
    return [shlex.join(["nasformer", *each]) for each in told]
