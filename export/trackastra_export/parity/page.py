"""The certificate as one page without external files."""

from collections.abc import Iterable
from html import escape
from string import Template

from trackastra_export.parity.certificate import DECADES, Certificate
from trackastra_export.parity.comparison import Check

VERDICTS = {
    "equal": "Equal: on this movie the engine computes the same results as upstream.",
    "different": "Different: on this movie the engine's results differ from those of upstream.",
}
BAR_WIDTH, BAR_HEIGHT, GROUP_WIDTH = 22, 150, 60  # units of the drawing, pixels for browsers
COLOURS = ("#2563eb", "#d97706")

PAGE = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Parity certificate: $verdict</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1f2937; }
h1 { font-size: 1.6rem; margin-bottom: .5rem; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
th { white-space: nowrap; }
.verdict { padding: .8rem 1rem; border-radius: .4rem; font-weight: 600; color: #fff; }
.equal { background: #15803d; } .different { background: #b91c1c; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #e5e7eb;
         vertical-align: top; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.no { color: #b91c1c; font-weight: 600; }
svg text { font: 12px system-ui, sans-serif; fill: #374151; }
</style>
<h1>Parity certificate</h1>
<p class="verdict $verdict">$sentence</p>
<table>$facts</table>
<h2>Comparison</h2>
<p>The reference is upstream with its network in float64. The column on the right is upstream in
float32, as users run it, compared with the same reference. Centroids and features are compared
relative to their size where it is above 1, and absolutely elsewhere. Of detections and edges, those
that only one of the two has are counted.</p>
<table><tr><th>subject<th class="number">compared<th class="number">engine
<th class="number">allowed<th>passed<th class="number">upstream in float32</tr>$checks</table>
<h2>Differences of scores</h2>
<p>Candidate edges by the difference of their score from the reference.</p>
$chart
$edges
</html>
""")


def page(certificate: Certificate) -> str:
    """Return the certificate as HTML."""
    subject = certificate.subject
    facts = {
        "model": f"{subject.model} (SHA-256 {subject.model_sha256})",
        "checkpoint": f"{subject.checkpoint} (SHA-256 {subject.checkpoint_sha256})",
        "movie": f"{subject.movie}; {subject.frames} frames",
        "longest link": f"{subject.max_distance_px:g} pixels",
        "engine": ", ".join(certificate.engine_versions),
        "upstream": ", ".join(certificate.upstream_versions),
        "made": certificate.made,
    }
    return PAGE.substitute(
        verdict=certificate.verdict,
        sentence=VERDICTS[certificate.verdict],
        facts="".join(f"<tr><th>{name}<td>{escape(value)}</tr>" for name, value in facts.items()),
        checks="".join(_rows(certificate.checks, certificate.float32_checks)),
        chart=_chart(certificate),
        edges=_different_edges(certificate),
    )


def _rows(checks: Iterable[Check], of_float32: Iterable[Check]) -> Iterable[str]:
    float32 = {check.subject: check for check in of_float32}
    for check in checks:
        passed = "<td>yes" if check.passed else '<td class="no">no'
        note = f"<br><small>{escape(check.note)}</small>" if check.note else ""
        yield (
            f"<tr><td>{escape(check.subject)}{note}{_number(check.compared)}"
            f"{_number(check.difference)}{_number(check.allowed)}{passed}"
            f"{_number(float32[check.subject].difference)}</tr>"
        )


def _number(value: float) -> str:
    return (
        f'<td class="number">{value:,d}'
        if isinstance(value, int)
        else (f'<td class="number">{value:.1e}')
    )


def _chart(certificate: Certificate) -> str:
    """Return a bar chart: edges per power of ten, of the engine and of upstream in float32."""
    series = {
        "engine": certificate.score_decades,
        "upstream in float32": certificate.float32_score_decades,
    }
    largest = max((count for counts in series.values() for count in counts), default=0) or 1
    parts = []
    for row, (name, counts) in enumerate(series.items()):
        colour = COLOURS[row]
        parts.append(
            f'<rect x="{row * 90}" y="0" width="12" height="12" fill="{colour}"/>'
            f'<text x="{row * 90 + 17}" y="10">{name}</text>'
        )
        for column, count in enumerate(counts):
            height = BAR_HEIGHT * count / largest
            x, y = column * GROUP_WIDTH + row * (BAR_WIDTH + 2), 40 + BAR_HEIGHT - height
            parts.append(
                f'<rect x="{x}" y="{y:.1f}" width="{BAR_WIDTH}" height="{height:.1f}" '
                f'fill="{colour}"/>'
            )
            if count:
                parts.append(
                    f'<text x="{x + BAR_WIDTH / 2}" y="{y - 4:.1f}" text-anchor="middle">'
                    f"{count}</text>"
                )
    for column, power in enumerate(DECADES):
        label = f"10<tspan dy='-5' font-size='9'>{power}</tspan>"
        x = column * GROUP_WIDTH + BAR_WIDTH + 1
        parts.append(f'<text x="{x}" y="{BAR_HEIGHT + 60}" text-anchor="middle">≤ {label}</text>')
    width, height = len(DECADES) * GROUP_WIDTH, BAR_HEIGHT + 70
    return (
        f'<svg viewBox="-8 0 {width + 8} {height}" width="{width + 8}" height="{height}" '
        f'role="img" aria-label="Edges by the difference of their score">{"".join(parts)}</svg>'
    )


def _different_edges(certificate: Certificate) -> str:
    if not certificate.different_edges:
        return ""
    rows = "".join(
        f"<tr><td>{edge.linker}<td>{edge.source}<td>{edge.target}"
        f"<td>{_score(edge.engine_score)}<td>{_score(edge.upstream_score)}</tr>"
        for edge in certificate.different_edges
    )
    return (
        "<h2>Edges of only one of the two</h2>"
        "<table><tr><th>linker<th>source, frame:label<th>target, frame:label"
        f"<th>score of the engine<th>of upstream</tr>{rows}</table>"
    )


def _score(score: float | None) -> str:
    return "no candidate" if score is None else f"{score:.6f}"
