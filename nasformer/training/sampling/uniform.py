"""uniform: one subnet per step, as in AutoFormer (Chen et al., ICCV 2021, section 3.2).

Every dimension is uniform; with a budget conditioned on it, as by the paper's rejection sampling.
"""

from __future__ import annotations

from nasformer.training.sampling._sampler import Subnets, SubnetSampler


class UniformSampler(SubnetSampler):
    """One subnet per step, every dimension uniform."""

    def draw(self, steps: int, seed: int) -> list[Subnets]:
        """Return one subnet per step."""
        return [(architecture,) for architecture in self.feasible.sample(steps, seed=seed)]
