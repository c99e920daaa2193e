"""Where the weights of a supernet come from: the file that its training began with, and the original of a family.

A family is a supernet that was imported from a checkpoint of timm or transformers. Its full network is the original
model until it is trained; then the metadata say which file still holds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasformer.errors import CheckpointError
from nasformer.supernet import Supernet, VisionTransformer
from nasformer.supernet.checkpoint import fingerprint
from nasformer.training.log import logger
from nasformer.training.teacher import Teacher, load_teacher, original

STARTED_FROM, ORIGINAL = "started_from", "original"
"""Metadata of a trained supernet: file and hash of its initial weights, and of the original model."""


def origin_of(net: Supernet, own: Path | None, kept: Path | None) -> dict[str, Any]:
    """Return the metadata of a training that is about to begin.

    Args:
        net: The supernet with its initial weights.
        own: File of the trained weights; a supernet of that file is of this training.
        kept: File that holds the original of a family, if it exists.
    """
    model = None if is_trained(net.metadata) else original(net)
    file = kept.absolute() if kept is not None and kept.exists() else net.file
    origin: dict[str, Any] = {}
    if net.file is not None and own is not None and net.file == own.absolute():
        origin |= {key: net.metadata[key] for key in (STARTED_FROM, ORIGINAL) if key in net.metadata}
    elif net.file is not None:
        origin[STARTED_FROM] = {"file": str(net.file), "weights": fingerprint(net)[:16]}
    if model is not None and file is not None:
        origin[ORIGINAL] = {"file": str(file), "weights": model.fingerprint[:16]}
    return origin


def is_trained(metadata: Mapping[str, Any]) -> bool:
    """Whether a supernet was trained here; an imported one only knows its data."""
    return "recipe" in metadata.get("training", {})


def original_of(net: Supernet) -> tuple[Teacher, str] | None:
    """Return the original model of a family as a teacher, and what it is in words; None: ``net`` is no family.

    Of a trained family whose original is gone it is the largest network as trained.
    """
    model = original(net)
    if model is None or not is_trained(net.metadata):
        return None if model is None else (model, "the original model")
    known = net.metadata.get(ORIGINAL, {})
    file = known.get("file", "its file")
    try:
        kept = load_teacher(file)
        if kept.fingerprint[:16] == known.get("weights"):
            return kept, f"the original model, {file}"
    except CheckpointError:
        pass
    return model, f"the largest network of the family as trained, since the original, {file}, is not there"


def family_teacher(net: VisionTransformer) -> tuple[Teacher, str] | None:
    """Return ``original_of`` of the family that a network was extracted from; None if it comes from none."""
    if net.family is None:
        return None
    file, weights = net.family
    try:
        family = Supernet.load(file)
        if fingerprint(family)[:16] != weights:
            logger.warning("no default teacher: the family %s has other weights by now; give a teacher", file)
            return None
        return original_of(family)
    except CheckpointError as error:
        logger.warning("no default teacher: %s; give a teacher", error)
        return None
