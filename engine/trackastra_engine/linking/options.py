"""Options of linking, as users give them."""

from dataclasses import dataclass

from trackastra_engine.linking import Linker, linker
from trackastra_engine.linking.costs import read_costs, usual_costs


@dataclass(frozen=True, slots=True)
class LinkingOptions:
    """Options of the commands that link."""

    mode: str = "greedy"
    max_gap: int | None = None  # frames; None: as usual for the model
    max_distance: float | str | None = None  # pixels, "40px", "12um" or "auto"
    min_division_score: float | None = None
    rates: str = "auto"  # or "off", see linking/rates.py
    min_track_length: int = 1  # frames
    ilp_costs: str | None = None  # a preset, or a TOML file
    ilp_time_limit_s: float | None = None

    def linker(self, *, usual_gap: int, probabilities: bool) -> Linker:
        """Return the linker with these options; raises InputError if there is none.

        usual_gap: frames of the longest link if none is chosen; probabilities: whether scores are
        probabilities, see `linking.linker`.
        """
        usual = usual_costs(probabilities=probabilities)
        return linker(
            self.mode,
            max_gap=usual_gap if self.max_gap is None else self.max_gap,
            probabilities=probabilities,
            min_division_score=self.min_division_score,
            costs=read_costs(self.ilp_costs, usual) if self.ilp_costs else None,
            time_limit_s=self.ilp_time_limit_s,
        )


DEFAULT_OPTIONS = LinkingOptions()
