"""The least certain links, with the positions that a page shows for the chosen one."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from trackastra_engine.detection.detections import find_rows
from trackastra_engine.linking.corrections import Place
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.linking.review import DoubtfulLink
from trackastra_engine.output.report.tree import Tree
from trackastra_engine.output.report.view import View

MAX_ALTERNATIVES = 10  # one may be no parent: the page has nine keys for parents


def described_links(
    doubtful: Iterable[DoubtfulLink], lineage: Lineage, view: View, tree: Tree
) -> list[dict[str, Any]]:
    """Return links in the order given, without links of dropped tracks."""
    found = lineage.detections

    def described(place: Place | None, score: float) -> dict[str, Any] | None:
        if place is None:
            return {"score": round(score, 3)}
        (row,) = find_rows(found, np.array([place])).tolist()
        if row < 0:  # left out
            return None
        x, y = view.place(found.centroid[row : row + 1])[0].round(1).tolist()
        track = int(tree.row_of_id[lineage.tracklet_id[row]])
        name = {"frame": place[0], "label": place[1], "score": round(score, 3)}
        return {**name, "x": x, "y": y, "track": track}

    links = []
    for link in doubtful:
        target = described(link.target, link.score)
        if target is not None:
            others = (described(*other) for other in link.alternatives)
            shown = [other for other in others if other is not None][:MAX_ALTERNATIVES]
            source = described(link.source, link.score)
            links.append({"target": target, "source": source, "alternatives": shown})
    return links
