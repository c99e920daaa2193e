"""Every registered strategy passes the shipped suite; the registry is read, nobody lists them."""

from __future__ import annotations

import pytest

from nasformer.registry import strategy_names
from nasformer.testing import StrategyConformance


class TestRegistered(StrategyConformance):
    @pytest.fixture(params=strategy_names(), autouse=True)
    def strategy_name(self, request: pytest.FixtureRequest) -> None:
        self.strategy = request.param
