"""LatencyTable: a network's latency as the sum of measured block latencies.

The stem (everything outside the layers) is measured for each choice of the network, a layer for each choice of
network, heads and MLP width; skipped layers take no time. Latencies are integer microseconds, so their sums are
countable. This module holds the data; ``nasformer.latency`` measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nasformer._io import digest, to_json
from nasformer._parse import parse_json, read_text
from nasformer.architecture import Architecture, Layer
from nasformer.cost.additive import AdditiveCost
from nasformer.cost.geometry import Geometry, Network
from nasformer.errors import BudgetError

FORMAT = 1
"""File format version; others are rejected."""

_SCALE = 1000  # microseconds in a millisecond
_SETTINGS = ("runtime", "threads", "dtype")


@dataclass(frozen=True)
class LatencyTable:
    """Block latencies of one family of networks on one device.

    Args:
        device: Description of the measured device.
        geometry: Geometry of all blocks; spaces of another geometry are rejected.
        stem: Microseconds by embed_dim, or by (embed_dim, further network choices).
        layer: Microseconds by (embed_dim, further network choices, num_heads, hidden_dim, further layer choices).
        batch_size: Inputs per forward pass.
        repeats: Measurements per block.
        spread: Largest relative interquartile range of a block's measurements; None: unknown.
        network: Names of the further network dimensions, in the order of the keys.
        layers: Names of the further layer dimensions.
        runtime: The runtime, as of ``nasformer.latency``.
        threads: CPU threads; None: unknown, as in tables before version 0.2.
        dtype: Compute precision.

    Raises:
        BudgetError: A latency is not a non-negative integer of microseconds.

    >>> table = LatencyTable("a phone", Geometry(), {64: 200}, {(64, 2, 128): 350, (64, 2, 256): 500})
    >>> table.predict(Architecture(64, (2, 2), (2, 4)))
    1050
    >>> table.cost()(Geometry(), Architecture(64, (2, 2), (2, 4)))
    1.05
    """

    device: str
    geometry: Geometry
    stem: Mapping[Any, int]
    layer: Mapping[Any, int]
    batch_size: int = 1
    repeats: int = 1
    spread: float | None = None
    network: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    runtime: str = "torch"
    threads: int | None = None
    dtype: str = "fp32"

    def __post_init__(self) -> None:
        for part, times in (("stem", self.stem), ("layer", self.layer)):
            if not isinstance(times, Mapping) or not times:
                raise BudgetError(f"a latency table's {part} maps sizes to microseconds, got {times!r}", times)
            for block, time in times.items():
                if not isinstance(time, int) or isinstance(time, bool) or not 0 <= time < 10**12:
                    raise BudgetError(f"the time of {part} {block} is whole microseconds, got {time!r}", times)
            object.__setattr__(self, part, dict(times))

    def __hash__(self) -> int:
        return hash(self.identity)

    def stem_us(self, network: Network) -> int:
        """Return the microseconds of the stem.

        Raises:
            BudgetError: It was not measured, or in another geometry.
        """
        key = self._network_key(network)
        return self._look_up("stem", self.stem, key if self.network else key[0], self._format_key(key))

    def layer_us(self, network: Network, layer: Layer) -> int:
        """Return the microseconds of one layer.

        Raises:
            BudgetError: It was not measured, or in another geometry.
        """
        if not (layer.num_heads or layer.hidden_dim):
            return 0
        own = layer.num_heads, layer.hidden_dim, *(getattr(layer, name) for name in self.layers)
        key = (*self._network_key(network), *own)
        return self._look_up("layer", self.layer, key, self._format_key(key))

    def _network_key(self, network: Network) -> tuple[float, ...]:
        """Return the network part of a table key."""
        named = dict(network.further)
        own = {name: value for name, value in named.items() if name in Geometry.__slots__}
        if odd := sorted({*self.network} ^ {*named}):
            who = "table" if odd[0] in self.network else "architecture"
            raise BudgetError(
                f"only the {who} has {odd[0]}: the latency table is {self.device!r}'s of another space", self
            )
        if network.geometry != replace(self.geometry, **own):
            raise BudgetError(
                f"the latency table of {self.device!r} was measured for {self.geometry}, not {network.geometry}", self
            )
        return network.embed_dim, *(getattr(network, name) for name in self.network)

    def _format_key(self, key: tuple[float, ...]) -> str:
        names = ("embed_dim", *self.network, "num_heads", "hidden_dim", *self.layers)
        return ", ".join(f"{name} {value:g}" for name, value in zip(names, key, strict=False))

    def _look_up(self, part: str, times: Mapping[Any, int], key: object, block: str) -> int:
        if key not in times:
            raise BudgetError(
                f"the latency table of {self.device!r} lacks the {part} of {block}; measure it, or remove it from "
                "the space",
                self,
            )
        return times[key]

    def predict(self, architecture: Architecture) -> int:
        """Return the microseconds of a network.

        Raises:
            BudgetError: One of its blocks was not measured.
        """
        network = Network.of(self.geometry, architecture)
        return self.stem_us(network) + sum(self.layer_us(network, layer) for layer in architecture.layers)

    def cost(self, name: str = "latency_ms") -> AdditiveCost:
        """Return the table as a cost in milliseconds, counted in microseconds."""
        return AdditiveCost(name, self.stem_us, self.layer_us, _SCALE, self.identity)

    @classmethod
    def of_cost(cls, cost: object) -> LatencyTable | None:
        """Return the table of a cost made by ``cost()``; None: the cost is another.

        >>> table = LatencyTable("a phone", Geometry(), {64: 200}, {(64, 2, 128): 350})
        >>> LatencyTable.of_cost(table.cost()) == table
        True
        """
        table = getattr(getattr(cost, "stem", None), "__self__", None)
        return table if isinstance(table, cls) else None

    @property
    def identity(self) -> str:
        """Hash of the table's content."""
        return digest(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible data."""
        return {
            "format": FORMAT,
            "device": self.device,
            "geometry": self.geometry.to_dict(),
            "batch_size": self.batch_size,
            "repeats": self.repeats,
            "spread": self.spread,
            "stem_us": [[*(block if self.network else (block,)), time] for block, time in sorted(self.stem.items())],
            "layer_us": [[*block, time] for block, time in sorted(self.layer.items())],
            **({"network": list(self.network), "layers": list(self.layers)} if self.network or self.layers else {}),
            **({name: getattr(self, name) for name in _SETTINGS} if self.threads is not None else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LatencyTable:
        """Inverse of ``to_dict``.

        Raises:
            BudgetError: It is not a latency table, or of another format version.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            found = data.get("format") if isinstance(data, Mapping) else data
            raise BudgetError(f"a latency table has the format {FORMAT}, got {found!r}", data)
        try:
            network, layers = tuple(data.get("network", ())), tuple(data.get("layers", ()))
            stem = _times_by_key("stem", data["stem_us"], 1 + len(network))
            layer = _times_by_key("layer", data["layer_us"], 3 + len(network) + len(layers))
            named = {key if network else key[0]: time for key, time in stem.items()}
            facts = (data["batch_size"], data["repeats"], data["spread"])
            geometry = Geometry.from_dict(data["geometry"])
            settings = {name: data[name] for name in _SETTINGS if name in data}
            return cls(str(data["device"]), geometry, named, layer, *facts, network, layers, **settings)
        except KeyError as error:
            raise BudgetError(f"the latency table lacks {error}", data) from error
        except (TypeError, ValueError) as error:
            if isinstance(error, BudgetError):
                raise
            raise BudgetError(f"this is not a latency table: {error}", data) from error

    def save(self, path: str | Path) -> None:
        """Write the table as JSON."""
        Path(path).write_text(to_json(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> LatencyTable:
        """Read a file that ``save`` wrote.

        Raises:
            BudgetError: The file cannot be read, or is not a latency table.
        """
        try:
            data = parse_json(read_text(path))
        except OSError as error:
            raise BudgetError(f"cannot read the latency table {str(path)!r}: {error.strerror}", path) from error
        except ValueError as error:
            raise BudgetError(f"{str(path)!r} is not JSON ({error})", path) from error
        try:
            return cls.from_dict(data)
        except BudgetError as error:
            raise BudgetError(f"{Path(path).name}: {error}", path) from error


def _times_by_key(part: str, rows: Any, width: int) -> dict[tuple[float, ...], int]:
    """Parse rows of sizes followed by a time."""
    keyed = {}
    for *sizes, time in rows:
        if len(sizes) != width:
            raise ValueError(f"{part} rows have {width} sizes and a time, got {[*sizes, time]}")
        keyed[tuple(int(size) if float(size).is_integer() else float(size) for size in sizes)] = time
    return keyed
