"""Testing: the conformance suite of strategies, plug-ins included.

In your own package, three lines run the suite on your strategy::

    from nasformer.testing import StrategyConformance

    class TestMine(StrategyConformance):
        strategy = "mypackage.mymodule:MyStrategy"
"""

from nasformer.testing.conformance import StrategyConformance
from nasformer.testing.stream import Judge, stream

__all__ = ["Judge", "StrategyConformance", "stream"]
