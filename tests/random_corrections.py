"""Random decisions on the links of a random candidate graph, which never contradict each other."""

from hypothesis import strategies as st

from random_graphs import graphs
from trackastra_engine.errors import InputError
from trackastra_engine.linking.corrections import Corrections


@st.composite
def decided_graphs(draw, max_decisions=8, max_reach=3, **options):
    """A graph, and decisions on its edges, on others up to `max_reach` frames long, and on ends."""
    graph = draw(graphs(**options))
    frames, labels = graph.detections.frame.tolist(), graph.detections.label.tolist()
    places = list(zip(frames, labels, strict=True))
    pairs = [(a, b) for a in places for b in places if 1 <= b[0] - a[0] <= max_reach]
    scored = [
        (places[s], places[t])
        for s, t in zip(graph.edges.source.tolist(), graph.edges.target.tolist(), strict=True)
    ]
    ends = [(place, None) for place in places] + [(None, place) for place in places]
    decisions = []
    for _ in range(draw(st.integers(0, max_decisions))):
        kind = draw(st.sampled_from([kind for kind in (scored, pairs, ends) if kind] or [[]]))
        if not kind:
            break
        source, target = draw(st.sampled_from(kind))
        is_link = draw(st.booleans()) or kind is ends
        try:
            Corrections.of([*decisions, (source, target, is_link)])
        except InputError:
            continue
        decisions.append((source, target, is_link))
    return graph, Corrections.of(decisions)
