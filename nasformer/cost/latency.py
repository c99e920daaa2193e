"""LatencyTable: the time of a network as the sum of the times of its blocks, measured one by one.

The stem (all that is no layer) is measured for each embedding width and a layer for each embedding width,
heads and MLP width; a network takes the stem's time and that of each of its layers. Times are whole
microseconds, so that sums of them are countable. This is the data; who measures says how in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasformer._io import digest
from nasformer.architecture import Architecture
from nasformer.cost.additive import AdditiveCost
from nasformer.cost.geometry import Geometry
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
        stem: Microseconds by embed_dim.
        layer: Microseconds by (embed_dim, num_heads, hidden_dim).
        batch_size: Images per pass.
        repeats: Passes behind each time.
        spread: Largest relative spread among the repeats of a block; None: not known.

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
    stem: Mapping[int, int]
    layer: Mapping[tuple[int, int, int], int]
    batch_size: int = 1
    repeats: int = 1
    spread: float | None = None

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

    def stem_us(self, geometry: Geometry, embed_dim: int) -> int:
        """Return the microseconds of all that is no layer.

        Raises:
            BudgetError: It was not measured, or for another geometry.
        """
        return self._look_up(geometry, "stem", self.stem, embed_dim, f"embed_dim {embed_dim}")

    def layer_us(self, geometry: Geometry, embed_dim: int, num_heads: int, hidden_dim: int) -> int:
        """Return the microseconds of one layer.

        Raises:
            BudgetError: It was not measured, or for another geometry.
        """
        block = f"embed_dim {embed_dim}, num_heads {num_heads}, hidden_dim {hidden_dim}"
        return self._look_up(geometry, "layer", self.layer, (embed_dim, num_heads, hidden_dim), block)

    def _look_up(self, geometry: Geometry, part: str, times: Mapping[Any, int], key: object, block: str) -> int:
        if geometry != self.geometry:
            raise BudgetError(
                f"the latency table of {self.device!r} was measured for {self.geometry}, not {geometry}", self
            )
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
        embed_dim = architecture.embed_dim
        layers = zip(architecture.num_heads, architecture.hidden_dims, strict=True)
        return self.stem_us(self.geometry, embed_dim) + sum(
            self.layer_us(self.geometry, embed_dim, heads, hidden) for heads, hidden in layers
        )

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
            "geometry": {name: getattr(self.geometry, name) for name in Geometry.__dataclass_fields__},
            "batch_size": self.batch_size,
            "repeats": self.repeats,
            "spread": self.spread,
            "stem_us": [[embed_dim, time] for embed_dim, time in sorted(self.stem.items())],
            "layer_us": [[*block, time] for block, time in sorted(self.layer.items())],
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
            stem = {int(embed_dim): time for embed_dim, time in data["stem_us"]}
            layer = {(int(e), int(h), int(f)): time for e, h, f, time in data["layer_us"]}
            facts = (data["batch_size"], data["repeats"], data["spread"])
            return cls(str(data["device"]), Geometry(**data["geometry"]), stem, layer, *facts)
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
