"""Options of linking, as users give them."""

from dataclasses import dataclass

from trackastra_engine.linking import Linker, linker
from trackastra_engine.linking.costs import read_costs


@dataclass(frozen=True, slots=True)
class LinkingOptions:
    """Options of the commands that link."""

    mode: str = "greedy"
    max_gap: int = 1  # frames
    max_distance: float | str | None = None  # pixels, "40px", "12um" or "auto"
    min_division_score: float | None = None
    rates: str = "auto"  # or "off", see linking/rates.py
    min_track_length: int = 1  # frames
    ilp_costs: str | None = None  # a preset, or a TOML file
    ilp_time_limit_s: float | None = None

    def linker(self, *, probabilities: bool) -> Linker:
        """Return the linker with these options; raises InputError if there is none.

        probabilities: whether scores are probabilities, see `linking.linker`.
        """
        return linker(
            self.mode,
            max_gap=self.max_gap,
            probabilities=probabilities,
            min_division_score=self.min_division_score,
            costs=read_costs(self.ilp_costs) if self.ilp_costs else None,
            time_limit_s=self.ilp_time_limit_s,
        )


DEFAULT_OPTIONS = LinkingOptions()
