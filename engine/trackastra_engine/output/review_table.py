"""Write the least certain links as a table, for people and spreadsheets."""

from collections.abc import Iterable
from pathlib import Path

from trackastra_engine.files.atomic import new_file
from trackastra_engine.linking.corrections import Place
from trackastra_engine.linking.review import DoubtfulLink

COLUMNS = "frame,label,source_frame,source_label,score,certainty,alternatives"


def write_review(links: Iterable[DoubtfulLink], path: str | Path) -> None:
    """Write COLUMNS of each link, in the order given; frames count from 0.

    Alternatives are `frame:label=score`, the best first. Without a source, the columns of the
    source are empty, and an alternative is `none=score`.
    """
    with new_file(Path(path)) as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        file.write(COLUMNS + "\n")
        for link in links:
            source = ("", "") if link.source is None else link.source
            others = " ".join(f"{_name(place)}={score:.3g}" for place, score in link.alternatives)
            cells = (*link.target, *source, f"{link.score:.3g}", f"{link.certainty:.3g}", others)
            file.write(",".join(map(str, cells)) + "\n")


def _name(place: Place | None) -> str:
    return "none" if place is None else f"{place[0]}:{place[1]}"
