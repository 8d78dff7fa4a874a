"""The HTML file of a page: template, style, scripts and data.

File names and metadata are data, never markup: the title is escaped, the rest is JSON without a
"<", which the scripts show as text. In addition, the page's policy allows only its own scripts and
no connection.
"""

import base64
import hashlib
import html
import json
import zlib
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCRIPTS = ("data.js", "film.js", "tree.js", "charts.js", "decide.js", "page.js")
KINDS = {
    "u1": "Uint8",
    "u2": "Uint16",
    "u4": "Uint32",
    "i4": "Int32",
    "f4": "Float32",
    "f8": "Float64",
}


def document(title: str, data: dict[str, Any], arrays: dict[str, NDArray[np.generic]]) -> str:
    """Return the page with its data, which the scripts read as `report` and `arrays`."""
    folder = files(__package__) / "page"
    style = (folder / "page.css").read_text("utf-8")
    script = "\n".join((folder / name).read_text("utf-8") for name in SCRIPTS)
    table, packed = _packed(arrays)
    return Template((folder / "page.html").read_text("utf-8")).substitute(
        title=html.escape(title),
        policy=f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}",
        style=style,
        script=script,
        data=_json({**data, "arrays": table}),
        arrays=packed,
    )


def _json(data: dict[str, Any]) -> str:
    """Return JSON in ASCII that cannot end the element around it."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _packed(arrays: dict[str, NDArray[np.generic]]) -> tuple[dict[str, list[Any]], str]:
    """Return the kind, first byte and end of each array, and all bytes, deflated, in base64."""
    table, parts, end = {}, [], 0
    for name, array in arrays.items():
        content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        table[name] = [KINDS[array.dtype.str[1:]], end, end + len(content)]
        parts.append(content)
        end += len(content)
    return table, base64.b64encode(zlib.compress(b"".join(parts), 6)).decode("ascii")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
