"""Testing: the conformance suite that every strategy must pass, for plug-ins too.

In a package of your own, three lines run the whole suite on your strategy::

    from nasformer.testing import StrategyConformance

    class TestMine(StrategyConformance):
        strategy = "mypackage.mymodule:MyStrategy"
"""

from nasformer.testing.conformance import StrategyConformance
from nasformer.testing.stream import Judge, stream

__all__ = ["Judge", "StrategyConformance", "stream"]
