"""LatencyTable: the time of a network as the sum of the times of its blocks, measured one by one.

The stem (all that is no layer) is measured for each choice of the network and a layer for each choice of network,
heads and MLP width; a network takes the stem's time and that of each of its layers. A layer without attention and
MLP takes none. Times are whole microseconds, so that sums of them are countable. This is the data; who measures
says how in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nasformer._io import digest
from nasformer.architecture import Architecture, Layer
from nasformer.cost.additive import AdditiveCost
from nasformer.cost.geometry import Geometry, Network
from nasformer.errors import BudgetError

FORMAT = 1
"""Version of what is written; another is refused."""

_SCALE = 1000  # microseconds in a millisecond


@dataclass(frozen=True)
class LatencyTable:
    """Measured blocks of one family of networks on one device.

    Args:
        device: What they were measured on, in words.
        geometry: Sizes that all blocks share; a space of another geometry is refused.
        stem: Microseconds by embed_dim, or by (embed_dim, further network choices).
        layer: Microseconds by (embed_dim, further network choices, num_heads, hidden_dim, further layer choices).
        batch_size: Images per pass.
        repeats: Passes behind each time.
        spread: Largest relative spread among the repeats of a block; None: not known.
        network: Names of the further network dimensions, in the order of the keys.
        layers: Names of the further layer dimensions.

    Raises:
        BudgetError: A time is no whole number of microseconds, 0 or more.

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
        """Return the microseconds of all that is no layer.

        Raises:
            BudgetError: It was not measured, or for another geometry.
        """
        key = self._network(network)
        return self._look_up("stem", self.stem, key if self.network else key[0], self._words(key))

    def layer_us(self, network: Network, layer: Layer) -> int:
        """Return the microseconds of one layer.

        Raises:
            BudgetError: It was not measured, or for another geometry.
        """
        if not (layer.num_heads or layer.hidden_dim):
            return 0
        own = layer.num_heads, layer.hidden_dim, *(getattr(layer, name) for name in self.layers)
        key = (*self._network(network), *own)
        return self._look_up("layer", self.layer, key, self._words(key))

    def _network(self, network: Network) -> tuple[float, ...]:
        """Return the part of a key that a network decides."""
        own = {name: value for name, value in network.further if name in Geometry.__slots__}
        if network.geometry != replace(self.geometry, **own) or {name for name, _ in network.further} != {
            *self.network
        }:
            raise BudgetError(
                f"the latency table of {self.device!r} was measured for {self.geometry}"
                f"{' and every ' + ', '.join(self.network) if self.network else ''}, not {network.geometry}",
                self,
            )
        return network.embed_dim, *(getattr(network, name) for name in self.network)

    def _words(self, key: tuple[float, ...]) -> str:
        names = ("embed_dim", *self.network, "num_heads", "hidden_dim", *self.layers)
        return ", ".join(f"{name} {value:g}" for name, value in zip(names, key, strict=False))

    def _look_up(self, part: str, times: Mapping[Any, int], key: object, block: str) -> int:
        if key not in times:
            raise BudgetError(
                f"the latency table of {self.device!r} lacks the {part} of {block}; measure it, or leave it out of "
                "the space",
                self,
            )
        return times[key]

    def predict(self, architecture: Architecture) -> int:
        """Return the microseconds of a network: the stem's and each layer's.

        Raises:
            BudgetError: A block of it was not measured.
        """
        network = Network.of(self.geometry, architecture)
        return self.stem_us(network) + sum(self.layer_us(network, layer) for layer in architecture.layers)

    def cost(self, name: str = "latency_ms") -> AdditiveCost:
        """Return the table as a cost, in milliseconds counted in microseconds."""
        return AdditiveCost(name, self.stem_us, self.layer_us, _SCALE, self.identity)

    @property
    def identity(self) -> str:
        """Hash of all that the table says."""
        return digest(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON."""
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
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LatencyTable:
        """Read what ``to_dict`` wrote.

        Raises:
            BudgetError: It is no latency table, or one of another format.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            found = data.get("format") if isinstance(data, Mapping) else data
            raise BudgetError(f"a latency table has the format {FORMAT}, got {found!r}", data)
        try:
            network, layers = tuple(data.get("network", ())), tuple(data.get("layers", ()))
            stem = _keyed("stem", data["stem_us"], 1 + len(network))
            layer = _keyed("layer", data["layer_us"], 3 + len(network) + len(layers))
            named = {key if network else key[0]: time for key, time in stem.items()}
            facts = (data["batch_size"], data["repeats"], data["spread"])
            return cls(str(data["device"]), Geometry(**data["geometry"]), named, layer, *facts, network, layers)
        except KeyError as error:
            raise BudgetError(f"the latency table lacks {error}", data) from error
        except (TypeError, ValueError) as error:
            if isinstance(error, BudgetError):
                raise
            raise BudgetError(f"this is no latency table: {error}", data) from error

    def save(self, path: str | Path) -> None:
        """Write the table as JSON."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> LatencyTable:
        """Read what ``save`` wrote.

        Raises:
            BudgetError: The file cannot be read, or holds no latency table.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise BudgetError(f"cannot read the latency table {str(path)!r}: {error.strerror}", path) from error
        except (ValueError, RecursionError) as error:
            raise BudgetError(f"{str(path)!r} is no JSON ({error})", path) from error
        try:
            return cls.from_dict(data)
        except BudgetError as error:
            raise BudgetError(f"{Path(path).name}: {error}", path) from error


def _keyed(part: str, rows: Any, width: int) -> dict[tuple[float, ...], int]:
    """Return times by the sizes before them in each row."""
    keyed = {}
    for *sizes, time in rows:
        if len(sizes) != width:
            raise ValueError(f"{part} rows have {width} sizes and a time, got {[*sizes, time]}")
        keyed[tuple(int(size) if float(size).is_integer() else float(size) for size in sizes)] = time
    return keyed
