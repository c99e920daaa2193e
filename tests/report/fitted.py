"""What a run of ``fit`` hands to its page: two networks of an accuracy that grows with the budget."""

from __future__ import annotations

from typing import Any

from nasformer.space import load_space

SPACE = load_space("digits")
STAGES = {"data": "digits: 1,078 train, 360 search, 359 test images", "training": "6 epochs, about 2 s"}


def training() -> dict[str, Any]:
    """Return the training of a supernet, as its metadata have it."""
    history = [
        {
            "epoch": epoch,
            "train_loss": 2 / epoch,
            "learning_rate": 1e-3,
            "validation": {
                name: {"accuracy": accuracy + epoch, "loss": 1 / epoch}
                for name, accuracy in {"smallest": 60.0, "centroid": 70.0, "largest": 80.0}.items()
            },
        }
        for epoch in range(1, 5)
    ]
    record = {"name": "digits", "splits": {"train": 1078, "search": 360, "test": 359}}
    recipe = {"epochs": 6, "learning_rate": 0.001}
    return {
        "recipe": recipe,
        "data": record,
        "seconds": 2.0,
        "validation": history[-1]["validation"],
        "history": history,
    }


def fitted() -> dict[str, Any]:
    """Return the networks and the stages of a run."""
    models = []
    for most, accuracy in ((20_000, 90.0), (60_000, 95.0)):
        best = next(iter(SPACE.feasible(params=most).sample(1, seed=0)))
        models.append(
            {
                "budget": {"params": float(most)},
                "architecture": best.to_dict(),
                "costs": SPACE.costs(best),
                "measured_ms": None,
                "test": {"accuracy": accuracy, "loss": 1 - accuracy / 100},
                "bytes": 4 * most,
                "file": f"run/models/params-{most}/model.onnx",
                "rival": {"test": {"accuracy": accuracy - 5, "loss": 0.5}},
            }
        )
    return {"space": SPACE.to_dict(), "models": models, "stages": STAGES, "training": training()}
