"""TaskConformance: the contract of tasks, as tests.

Losses are means over examples, objectives are the same in training and search, distillation pulls towards the teacher,
figures are plain values, bad targets are refused by one line, and a task is read back from its record, also where torch
is not imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nasformer.data import Dataset, ImagesInMemory
from nasformer.errors import DataError, FitnessError
from nasformer.fitness.outcome import Outcome, judged, mean_of
from nasformer.space import load_space
from nasformer.tasks import Estimate, Task, get_task, task_from_dict, task_of
from nasformer.training import Recipe
from nasformer.training.assessment import assess
from nasformer.training.objective import Objective

COUNT = 12

_WITHOUT_TORCH = """
import importlib, json, sys
import numpy as np
from nasformer.tasks import task_of
importlib.import_module(sys.argv[1])
record, outputs = json.load(sys.stdin)
task, outputs = task_of(record), np.array(outputs, dtype=np.float32)
task.agreement(outputs, outputs)
assert "torch" not in sys.modules, "torch was imported"
print(json.dumps(task.predictions(outputs)))
"""


class TaskConformance(ABC):
    """The conformance suite; subclasses set a task, and make targets.

    Attributes:
        task: An example of the task. It is registered, or importable as ``module:Class``.
    """

    task: Task

    @abstractmethod
    def targets(self, rng: np.random.Generator, count: int) -> Any:
        """Return an array of ``count`` random targets, varied enough for every metric."""

    def checked(self, count: int = COUNT, seed: int = 0) -> Tensor:
        """Return random targets as the task's ``check`` returns them."""
        return self.task.check(torch.as_tensor(self.targets(np.random.default_rng(seed), count)), "train")

    def outputs(self, count: int = COUNT, seed: int = 1) -> Tensor:
        """Return random outputs ``(count, outputs)``."""
        return torch.randn(count, len(self.task.outputs), generator=torch.Generator().manual_seed(seed))

    def kept_scores(self) -> dict[str, Any]:
        """Return the scores of random outputs as arrays."""
        return {name: each.numpy() for name, each in self.task.scores(self.outputs(), self.checked()).items()}

    def estimate(self, objective: str) -> Estimate:
        """Return an objective of random outputs."""
        return self.task.estimate(objective, self.kept_scores())

    def figures(self, count: int = COUNT) -> dict[str, Any]:
        """Return the metrics of random outputs that are no objectives, and details."""
        return self.task.evaluate(self.outputs(count).numpy(), self.checked(count).numpy())

    def test_is_found_by_its_name(self) -> None:
        """In the registry, or by ``module:Class``."""
        assert get_task(self.task.name) is type(self.task)

    def test_comes_back_from_its_record(self) -> None:
        """Through JSON, equal and with the same hash."""
        assert task_from_dict(plain(self.task.to_dict())) == self.task
        assert task_of(plain(self.task.record())) == self.task
        assert hash(task_of(self.task.record())) == hash(self.task)

    def test_an_unknown_value_is_one_line(self) -> None:
        """In a record of another version."""
        with pytest.raises(DataError, match="no_such_value") as caught:
            task_from_dict({**self.task.to_dict(), "no_such_value": 1})
        assert "\n" not in str(caught.value)

    def test_objectives_are_metrics(self) -> None:
        """Of distinct names, and no other metric ranks."""
        names = [metric.name for metric in self.task.metrics]
        assert len(set(names)) == len(names)
        assert self.task.objectives
        assert set(self.task.objectives) <= set(names)
        assert self.task.objective().name == self.task.objectives[0]
        for name in {*names, "no such metric"} - set(self.task.objectives):
            with pytest.raises(FitnessError, match=repr(name)):
                self.task.objective(name)

    def test_checked_targets_stay_as_they_are(self) -> None:
        """``check`` is idempotent."""
        assert torch.equal(self.task.check(self.checked(), "train"), self.checked())

    def test_refuses_targets_that_do_not_fit(self) -> None:
        """A NaN, another shape."""
        targets = self.checked()
        broken = targets.double()
        broken.view(-1)[0] = torch.nan
        for bad in (broken, torch.stack([targets, targets], dim=-1), targets[..., None, None]):
            with pytest.raises(DataError, match="train") as caught:
                self.task.check(bad, "train")
            assert "\n" not in str(caught.value)

    def test_scores_are_of_each_example(self) -> None:
        """Finite, and the same in any batch."""
        outputs, targets = self.outputs(), self.checked()
        whole = self.task.scores(outputs, targets)
        assert all(each.shape == (COUNT,) and each.isfinite().all() for each in whole.values())
        parts = [self.task.scores(outputs[i : i + 5], targets[i : i + 5]) for i in range(0, COUNT, 5)]
        for name, each in whole.items():
            torch.testing.assert_close(torch.cat([part[name] for part in parts]), each)

    def test_totals_add_up(self) -> None:
        """Over batches, to the objectives that a search gives these outputs."""
        outputs, targets = self.outputs(), self.checked()
        first, second = (self.task.totals(outputs[part], targets[part]) for part in (slice(5), slice(5, COUNT)))
        means = self.task.means({name: first[name] + second[name] for name in first}, COUNT)
        assert means == pytest.approx({each: self.estimate(each).value for each in self.task.objectives}, rel=1e-5)

    def test_examples_average_to_the_objective(self) -> None:
        """So their scatter is its sampling error."""
        for name in self.task.objectives:
            found = self.estimate(name)
            assert found.examples.shape == (COUNT,)
            assert found.examples.mean() == pytest.approx(found.value, abs=1e-9 * max(1, np.abs(found.examples).max()))

    def test_objectives_rank(self) -> None:
        """Each gives an evaluation, higher is better; of the first examples too, in a race."""
        outcome, figures = Outcome(self.kept_scores()), assess(self.task, self.outputs(), self.checked())
        architecture, part = load_space("digits").smallest, outcome.part(0, COUNT // 2)
        for name in self.task.objectives:
            metric = self.task.objective(name)
            whole = judged(architecture, outcome, self.task, metric)
            assert whole.value == metric.sign * figures[name]
            dropped = judged(architecture, part, self.task, metric, reference=mean_of([outcome], self.task, COUNT // 2))
            assert dropped.value == pytest.approx(whole.value), "compared with itself"
            assert dropped.standard_error == pytest.approx(part.values(self.task, metric).std() / COUNT**0.5)

    def test_loss_is_a_mean_over_examples(self) -> None:
        """So those of equal shards average to that of the batch."""
        outputs, targets = self.outputs(), self.checked()
        whole = self.task.loss(outputs, targets)
        shards = [self.task.loss(outputs[i : i + 4], targets[i : i + 4]) for i in range(0, COUNT, 4)]
        torch.testing.assert_close(torch.stack(shards).mean(), whole)

    def test_loss_falls(self) -> None:
        """When a linear model is fitted to random targets."""
        inputs, targets = torch.randn(COUNT, 16, generator=torch.Generator().manual_seed(2)), self.checked()
        weights = torch.zeros(16, len(self.task.outputs), requires_grad=True)
        optimizer = torch.optim.Adam([weights], lr=0.01)
        losses = []
        for _ in range(30):
            optimizer.zero_grad()
            loss = self.task.loss(inputs @ weights, targets)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item())
        assert np.isfinite(losses).all()
        assert losses[-1] < losses[0]

    @pytest.mark.parametrize("temperature", [1.0, 2.0])
    def test_distillation_is_least_at_the_teacher(self, temperature: float) -> None:
        """With no gradient there, and a larger loss elsewhere."""
        teacher = self.outputs()
        outputs = teacher.clone().requires_grad_()
        least = self.task.distillation(outputs, teacher, temperature=temperature)
        least.backward()  # type: ignore[no-untyped-call]
        assert outputs.grad is not None
        assert outputs.grad.abs().max() < 1e-6
        assert self.task.distillation(self.outputs(seed=3), teacher, temperature=temperature) > least
        assert self.task.distillation(outputs, teacher, hard=True).isfinite()

    def test_divergence_is_distillation_beyond_its_least(self) -> None:
        """Of each example; it ranks too."""
        outputs, teacher = self.outputs(), self.outputs(seed=3)
        found = self.task.divergence(outputs, teacher)
        assert found.shape == (COUNT,)
        least = self.task.distillation(teacher, teacher)
        torch.testing.assert_close(found.mean(), self.task.distillation(outputs, teacher) - least)
        assert self.task.divergence(teacher, teacher).abs().max() < 1e-6
        assert self.task.ranking("divergence").sign == -1
        assert self.task.ranking() == self.task.objective()

    @pytest.mark.parametrize("count", [1, COUNT])
    def test_figures_are_plain(self, count: int) -> None:
        """Metrics by name, each a number or None, and details in lists and mappings, also of a single example."""
        figures, known = self.figures(count), {metric.name for metric in self.task.metrics}
        assert plain(figures) == figures
        metrics = {name: value for name, value in figures.items() if not isinstance(value, (list, dict))}
        assert set(metrics) <= known - set(self.task.objectives)
        assert all(value is None or isinstance(value, float) for value in metrics.values())

    def test_every_metric_is_measured(self) -> None:
        """By the scores, or by ``evaluate``."""
        measured = {*self.task.objectives, *self.figures()}
        assert {metric.name for metric in self.task.metrics} <= measured

    def test_predictions_are_plain(self) -> None:
        """One per example; of extreme outputs too."""
        outputs = np.concatenate([self.outputs().numpy(), np.zeros((1, len(self.task.outputs)), np.float32)])
        for scale in (1, 1e4):
            found = self.task.predictions((scale * outputs).astype(np.float32))
            assert len(found) == len(outputs)
            assert plain(found) == found

    def test_agrees_with_itself(self) -> None:
        """If it has decisions."""
        outputs = self.outputs().numpy()
        assert self.task.agreement(outputs, outputs) in (None, 1.0)

    def test_reads_outputs_without_torch(self) -> None:
        """In a process of its own, as an exported network does."""
        outputs = self.outputs().numpy()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        given = json.dumps([self.task.record(), outputs.tolist()])
        command = [sys.executable, "-c", _WITHOUT_TORCH, type(self.task).__module__]
        done = subprocess.run(command, input=given, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == self.task.predictions(outputs)

    @pytest.mark.parametrize("name", ["custom", "digits"])
    def test_has_a_recipe(self, name: str) -> None:
        """Of fields of ``Recipe``, which the training objective accepts."""
        splits: dict[str, Any] = {
            key: ImagesInMemory(torch.zeros(COUNT, 1, 4, 4), self.checked()) for key in ("train", "search", "test")
        }
        data = Dataset(**splits, name=name, task=self.task)
        objective = Objective(Recipe.for_dataset(name, self.task), data, torch.device("cpu"))
        assert objective(self.outputs(), self.checked()).isfinite()


def plain(value: Any) -> Any:
    """Return a value through JSON, which has no NaN."""
    return json.loads(json.dumps(value, allow_nan=False))
