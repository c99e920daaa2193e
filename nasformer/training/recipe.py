"""Recipe: training hyperparameters as one validated, immutable value with YAML input and output.

The defaults are those of AutoFormer's supernets (Chen et al., ICCV 2021, section 4.1 and table 3).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from nasformer._io import write_file
from nasformer._parse import parse_yaml, read_text, to_yaml
from nasformer.errors import RecipeError, did_you_mean, first_fault, shown
from nasformer.tasks import Task
from nasformer.training.sampling import get_sampler

_LOGGER = logging.getLogger("nasformer.training")
_POLICY = "rand-m9-mstd0.5-inc1"
_LEAST_ALPHA = 1e-3  # of a Beta distribution: below, its samples are 0 and 1, or not numbers


class Affine(BaseModel):
    """Ranges of the random affine augmentation of train images; all zero: none.

    Attributes:
        degrees: Maximal rotation, in either direction.
        translate: Maximal translation along each axis, as a fraction of the image size.
        scale: Maximal relative change of scale.
        shear: Maximal shear, as a slope.
        flip: Probability of a horizontal flip.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)

    degrees: float = Field(0.0, ge=0, le=180)
    translate: float = Field(0.0, ge=0, le=1)
    scale: float = Field(0.0, ge=0, lt=1)
    shear: float = Field(0.0, ge=0, le=1)
    flip: float = Field(0.0, ge=0, le=1)


class Recipe(BaseModel):
    """Training hyperparameters.

    Attributes:
        epochs: Passes over the train split, or over ``epoch_images`` of it.
        epoch_images: Train images per epoch, another random part in each; None: all.
        batch_size: Global batch size over all processes; an incomplete last batch is dropped.
        accumulation_steps: Micro-batches per step (gradient accumulation): the same gradients
            with less memory, in more time.
        learning_rate: Peak learning rate, after the warm-up.
        min_learning_rate: End of the cosine schedule.
        warmup_epochs: Epochs of linear warm-up; fewer than ``epochs``, else they are cut.
        warmup_learning_rate: Learning rate at the start of the warm-up.
        weight_decay: Decoupled weight decay; none on cls token, absolute positions and 1-D parameters.
        betas: AdamW's two decay rates.
        label_smoothing: Label smoothing, of classes.
        mixup: Mixup alpha, for classes; 0: off.
        cutmix: CutMix alpha, for classes; 0: off.
        mix_probability: Fraction of batches that mixup or CutMix applies to.
        drop_path: Stochastic depth rate of the last layer; it grows linearly from 0.
        affine: Random affine augmentation, for images in memory and small ones.
        repeated_augmentation: Augmented copies of an image per epoch, of proportionally fewer images
            (Hoffer et al., CVPR 2020).
        auto_augment: timm's augmentation policy, for images whose normalisation is known; None: none. Small images have
            RandAugment as tensors (``training.tensor_augment``), larger files also random crops.
        random_erasing: Probability of random erasing, for the same images.
        horizontal_flip: Probability of a horizontal flip, for the same images.
        grad_clip: Maximal gradient norm; None: no clipping.
        amp: bfloat16 on GPUs with native support ("auto"), everywhere ("bf16"), nowhere ("off").
        grad_checkpointing: Keep only each layer's input for the backward pass and recompute the rest:
            the same gradients with less memory, in more time.
        unused_slices: Slices unused in a step still see weight decay and momentum
            ("decay", as in AutoFormer) or stay unchanged ("freeze").
        validate_every: Epochs between validations; the last epoch is always validated.
        keep_best: Metric of the validation by which the best epoch is kept, such as "balanced_accuracy"; None: the last
            epoch is kept.
        checkpoint_every: Epochs between checkpoints; the last epoch always saves one.
        ema_decay: Decay of the exponential moving average (EMA) of the weights, which is validated and saved;
            None: no EMA. The official code has 0.99996, switched off.
        ema_warmup: Whether the decay warms up from 0, as short trainings need.
        balanced_sampling: Whether train images are drawn with replacement, all classes equally often, instead of each
            once an epoch.
        class_weights: Weight of each class or label in the loss; "balanced": inverse frequency in the train images.
        sampling: Name of a ``SubnetSampler``. One subnet per step ("uniform", as in the paper, or of a random range of
            MACs: "bins", also with probabilities that follow the losses: "shift", or of a few chosen ones of each:
            "candidates"), or the largest, the smallest and random ones ("sandwich", Yu and Huang, ICCV 2019, or of
            ranges of MACs: "stratified"), losses averaged. Only for supernets.
        sandwich_random: Random subnets of a sandwich.
        cost_bins: Number of the ranges of "bins", "shift" and "candidates".
        candidates: Number of the chosen subnets in each range of "candidates".
        inplace_distillation: Whether the largest of a sandwich learns from the labels and teaches the others;
            "next_larger": each learns from the next larger one and, but for ``distillation_weight``, from the labels
            (Scala, arXiv 2412.04786).
        largest_first: Share of the epochs, at the start, that train the largest subnet alone, where weights start
            untrained (Scala).
        open_choices: Share of the epochs after which all choices are open; until then they open one at a time from the
            largest subnet on (EA-ViT, arXiv 2507.19360). 0: from the start.
        budget: Bounds by cost, as ``{params: 5e6:6e6}``; a supernet samples from the feasible set, under the paper's
            prior. None: the whole space.
        distillation: With a teacher: its predicted class ("hard", as DeiT, Touvron et al., ICML 2021, and
            AutoFormer), its probabilities ("soft", Hinton et al., 2015), or nothing ("off"): a family from a checkpoint
            then learns without its original model.
        distillation_weight: Weight of the distillation loss; the labels have the rest.
        distillation_temperature: Softmax temperature of soft distillation.
        seed: Random seed of order, augmentation, drop-path and sampled subnets.

    >>> Recipe(epochs=3, warmup_epochs=1).epochs
    3
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(500, ge=1, le=10**6)
    epoch_images: int | None = Field(None, ge=1)
    batch_size: int = Field(1024, ge=1, le=2**20)
    accumulation_steps: int = Field(1, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    min_learning_rate: float = Field(1e-5, ge=0)
    warmup_epochs: int = Field(20, ge=0, validate_default=True)
    warmup_learning_rate: float = Field(1e-6, ge=0)
    weight_decay: float = Field(0.05, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    mixup: float = Field(0.8, ge=0, le=1000)
    cutmix: float = Field(1.0, ge=0, le=1000)
    mix_probability: float = Field(1.0, ge=0, le=1)
    drop_path: float = Field(0.1, ge=0, lt=1)
    affine: Affine = Affine()
    auto_augment: str | None = _POLICY
    random_erasing: float = Field(0.25, ge=0, le=1)
    horizontal_flip: float = Field(0.5, ge=0, le=1)
    repeated_augmentation: int = Field(1, ge=1, le=100)
    grad_clip: float | None = Field(None, gt=0)
    amp: Literal["auto", "bf16", "off"] = "auto"
    grad_checkpointing: bool = False
    unused_slices: Literal["decay", "freeze"] = "decay"
    ema_decay: float | None = Field(None, gt=0, lt=1)
    ema_warmup: bool = False
    balanced_sampling: bool = False
    class_weights: Literal["balanced"] | tuple[float, ...] | None = None
    sampling: str = "uniform"
    sandwich_random: int = Field(2, ge=0, le=100)
    cost_bins: int = Field(8, ge=2, le=64)
    candidates: int = Field(4, ge=1, le=1000)
    inplace_distillation: Literal["next_larger"] | bool = True
    largest_first: float = Field(0.0, ge=0, lt=1)
    open_choices: float = Field(0.0, ge=0, le=1)
    budget: dict[str, Any] | None = None
    distillation: Literal["hard", "soft", "off"] = "hard"
    distillation_weight: float = Field(0.5, ge=0, le=1)
    distillation_temperature: float = Field(1.0, ge=0.01, le=1000)
    validate_every: int = Field(1, ge=1)
    keep_best: str | None = None
    checkpoint_every: int = Field(1, ge=1)
    seed: int = Field(0, ge=0, lt=2**63)

    def __init__(self, **values: Any) -> None:
        known = type(self).model_fields
        for key in values:
            if key not in known:
                raise RecipeError(f"a recipe has no {key!r}; {did_you_mean(key, known)}", values)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise RecipeError(_one_line(error), values) from None
        get_sampler(self.sampling)

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.mixes and self.batch_size % 2:
            raise ValueError(f"batch_size must be even for mixup and cutmix, got {self.batch_size}")
        if self.balanced_sampling and self.repeated_augmentation > 1:
            raise ValueError("balanced_sampling already repeats images; set repeated_augmentation to 1")
        if self.batch_size % self.accumulation_steps:
            unit = self.accumulation_steps
            raise ValueError(f"batch_size must be a multiple of accumulation_steps ({unit}), got {self.batch_size}")
        return self

    @field_validator("warmup_epochs")
    @classmethod
    def _below_epochs(cls, warmup: int, info: ValidationInfo) -> int:
        epochs: int = info.data.get("epochs", warmup + 1)
        if warmup >= epochs:
            _LOGGER.warning("warm-up of %d instead of %d epochs: the training has %d", epochs - 1, warmup, epochs)
        return min(warmup, epochs - 1)

    @field_validator("betas")
    @classmethod
    def _below_one(cls, betas: tuple[float, float]) -> tuple[float, float]:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError("two rates of at least 0, below 1")
        return betas

    @field_validator("mixup", "cutmix")
    @classmethod
    def _drawable(cls, alpha: float) -> float:
        if 0 < alpha < _LEAST_ALPHA:
            raise ValueError(f"an alpha of at least {_LEAST_ALPHA:g}, or 0 for none")
        return alpha

    @field_validator("auto_augment")
    @classmethod
    def _known_policy(cls, policy: str | None) -> str | None:
        if policy and policy != _POLICY and not _is_policy(policy):
            raise ValueError(f"a policy of timm, such as {_POLICY}, or null for none")
        return policy

    @field_validator("class_weights")
    @classmethod
    def _no_negative(cls, weights: Any) -> Any:
        if isinstance(weights, tuple) and not (min(weights, default=0) >= 0 and 1e-6 <= max(weights, default=0) <= 1e6):
            raise ValueError("weights must be 0 or more, and the largest from 1e-6 to 1e6")
        return weights

    @property
    def mixes(self) -> bool:
        """Whether mixup or CutMix is on."""
        return (self.mixup > 0 or self.cutmix > 0) and self.mix_probability > 0

    def finetuning(self) -> Recipe:
        """Return the fine-tuning recipe: a tenth of the epochs and of the learning rate, no warm-up.

        AutoFormer fine-tunes for 40 epochs after 500 (table 3). Budget and subnet sampling are reset:
        they apply to supernets only.

        >>> Recipe(epochs=500, learning_rate=1e-3).finetuning().epochs
        50
        """
        of_supernets = {"budget": None, "sampling": "uniform", "largest_first": 0.0, "open_choices": 0.0}
        changes = {"epochs": max(1, round(self.epochs / 10)), "warmup_epochs": 0, **of_supernets}
        return self.replace(**changes, learning_rate=self.learning_rate * 0.1)

    def replace(self, **changes: Any) -> Recipe:
        """Return the recipe with some values changed; the warm-up scales with the number of epochs.

        >>> short = Recipe.autoformer().replace(epochs=100)
        >>> short.epochs, short.warmup_epochs
        (100, 4)
        """
        epochs = changes.get("epochs")
        if isinstance(epochs, int) and epochs > 0 and "warmup_epochs" not in changes:
            changes = {**changes, "warmup_epochs": min(round(self.warmup_epochs * epochs / self.epochs), epochs - 1)}
        return Recipe(**{**self.model_dump(), **changes})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return self.model_dump(mode="json")

    def save(self, path: str | Path) -> Path:
        """Write the recipe as YAML."""
        write_file(path, to_yaml(self.to_dict()))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a recipe from YAML; missing values take the defaults of this class.

        Raises:
            RecipeError: The file is missing, not a YAML mapping, or has an unknown key or invalid value.
        """
        return cls(**cls.read(path))

    @staticmethod
    def read(path: str | Path) -> dict[str, Any]:
        """Return the values of a YAML file, unchecked, such as changes for ``replace``.

        Raises:
            RecipeError: The file is missing, or not a YAML mapping.
        """
        try:
            values = parse_yaml(read_text(path))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RecipeError(f"cannot read the recipe {path}: {reason}", path) from error
        if not isinstance(values, Mapping):
            raise RecipeError(f"the recipe {path} must be a mapping such as 'epochs: 30', got {shown(values)}", path)
        return {str(key): value for key, value in values.items()}

    @classmethod
    def autoformer(cls) -> Recipe:
        """Return the recipe of the paper's supernets: 500 epochs of ImageNet."""
        return cls()

    @staticmethod
    def is_built_in(name: str) -> bool:
        """Whether a dataset has a recipe of its own."""
        return name in _BUILT_IN

    @classmethod
    def for_dataset(cls, name: str, task: Task | None = None) -> Recipe:
        """Return the default recipe of a built-in dataset, AutoFormer's own for any other; the task changes both."""
        return cls(**{**_BUILT_IN.get(name, {}), **({} if task is None else task.recipe)})


NOT_AUGMENTED: dict[str, Any] = {"auto_augment": None, "random_erasing": 0.0, "horizontal_flip": 0.0}
_SMALL = NOT_AUGMENTED | {"warmup_learning_rate": 1e-5, "mixup": 0.0, "cutmix": 0.0, "drop_path": 0.0}
_BUILT_IN: dict[str, dict[str, Any]] = {
    "digits": {
        **_SMALL,
        "epochs": 450,
        "batch_size": 64,
        "learning_rate": 5e-3,
        "grad_clip": 1.0,
        "warmup_epochs": 15,
        "affine": {"degrees": 10, "translate": 0.1, "scale": 0.1, "shear": 0.1},
        "validate_every": 25,
        "checkpoint_every": 25,
    },
    "fashion-mnist": {
        **_SMALL,
        "epochs": 24,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "grad_clip": 1.0,
        "warmup_epochs": 3,
        "ema_decay": 0.998,
        "ema_warmup": True,
    },
}


def _is_policy(policy: str) -> bool:
    """Whether timm parses an augmentation policy, of numbers that an image is augmented with in finite time."""
    from timm.data.auto_augment import augment_and_mix_transform, auto_augment_transform, rand_augment_transform

    kinds: dict[str, Any] = {"rand": rand_augment_transform, "augmix": augment_and_mix_transform}
    try:
        kinds.get(policy.partition("-")[0], auto_augment_transform)(policy, {})
    except Exception:  # timm raises whatever its parts raise
        return False
    return re.search(r"\d{4}", policy) is None


def _one_line(error: ValidationError) -> str:
    where, kind, words, value = first_fault(error)
    where = re.sub(r"\.(\d+|literal\[.*)$", "", where)  # of a tuple, of a union
    if not where:
        return words
    if kind == "extra_forbidden":
        return f"a recipe has no {where!r}; {did_you_mean(where.rpartition('.')[2], Affine.model_fields)}"
    return f"recipe {where}: {words}, got {shown(value)}"
