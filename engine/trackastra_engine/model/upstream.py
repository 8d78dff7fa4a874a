"""Find upstream's models in its folders, and import each once."""

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import platformdirs

from trackastra_engine.errors import ModelError
from trackastra_engine.files.atomic import new_folder
from trackastra_engine.model.attention_plan import PLAN_INPUTS
from trackastra_engine.model.onnx_model import embedded_models
from trackastra_engine.model.spec import FORMAT_VERSION
from trackastra_engine.progress import NOTICE

FOLDER_VARIABLE = "TRACKASTRA_MODEL_DIR"
RELEASES = "https://github.com/weigertlab/trackastra-models/releases/download"
DOWNLOADS = {
    "ctc": f"{RELEASES}/v0.3.0/ctc.zip",
    "general_2d": f"{RELEASES}/v0.3.0/general_2d.zip",
}  # as upstream (pretrained.py), without the model that needs image features
TIMEOUT_S = 20.0
FILES = ("config.yaml", "train_config.yaml", "model.pt")

logger = logging.getLogger(__name__)


def pretrained_folder(name: str) -> Path:
    """Return the folder of a pretrained model of upstream, downloaded if it is missing.

    Searches the folder in TRACKASTRA_MODEL_DIR, then upstream's downloads, then ours. Raises
    ModelError with advice if there is none.
    """
    places = model_places()
    for place in places:
        if (place / name).is_dir():
            return place / name
    if name not in DOWNLOADS:
        raise ModelError(
            f"there is no model {name!r} of upstream in {_listed(places)}; those that can be "
            f"downloaded and need no image features are {', '.join(DOWNLOADS)}"
        )
    try:
        return _download(name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        own = f", or use the engine's own with --model {name}" if name in embedded_models() else ""
        raise ModelError(
            f"there is no model {name!r} of upstream in {_listed(places)}, and it cannot be "
            f"downloaded ({error}); set {FOLDER_VARIABLE} to a folder that contains it{own}"
        ) from error


def model_places() -> list[Path]:
    """Return the folders that may contain a model of upstream, in order of preference."""
    places = [
        Path(platformdirs.user_data_dir("trackastra")) / "models",
        Path("~/.trackastra/.models").expanduser(),  # of upstream before 0.3
    ]
    if named := os.environ.get(FOLDER_VARIABLE):
        places.insert(0, Path(named).expanduser())
    installed = find_spec("trackastra")  # upstream itself, which stored them next to its code
    if installed is not None and installed.origin is not None:
        places.append(Path(installed.origin).parent / ".models")
    return [*places, _our_cache() / "upstream"]


def import_once(folder: Path) -> Path:
    """Return the .onnx file of a model folder of upstream or ours, imported if it is missing.

    It is stored in the user's cache, by the folder's content: a changed folder is imported again.
    An .onnx file is returned as it is. Torch is imported in a separate process.

    Raises ModelError with the reason if the folder cannot be imported.
    """
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise ModelError(f"the model folder {folder} does not exist")
    path = _our_cache() / "imported" / f"{folder.resolve().name}-{_digest(folder)}.onnx"
    if path.is_file():
        return path
    logger.log(NOTICE, "importing the model %s (only once)", folder)
    command = [sys.executable, "-X", "utf8", "-P", "-m", "trackastra_engine", "import", str(folder)]
    done = subprocess.run([*command, "-o", str(path)], capture_output=True, encoding="utf-8")
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    last = lines[-1] if lines else f"exit code {done.returncode}"
    if done.returncode:
        raise ModelError(f"{folder} cannot be imported: {last.removeprefix('Error: ')}")
    logger.log(NOTICE, "%s", last[0].lower() + last[1:])
    return path


def _download(name: str) -> Path:
    url, folder = DOWNLOADS[name], _our_cache() / "upstream" / name
    logger.log(NOTICE, "downloading %s", url)
    with new_folder(folder) as partial, tempfile.TemporaryFile() as archive:
        with urlopen(url, timeout=TIMEOUT_S) as response:
            while chunk := response.read(1 << 20):
                archive.write(chunk)
        with zipfile.ZipFile(archive) as zipped:
            for file in FILES:
                (partial / file).write_bytes(zipped.read(f"{name}/{file}"))
    return folder


def _digest(folder: Path) -> str:
    """Return a hash of the model in a folder and of the format of imported models."""
    total = hashlib.sha256(f"{FORMAT_VERSION} {PLAN_INPUTS}".encode())
    for name in (*FILES, "spec.json"):  # of our own folders
        if (folder / name).is_file():
            total.update(name.encode())
            total.update((folder / name).read_bytes())
    return total.hexdigest()[:12]


def _our_cache() -> Path:
    return Path(platformdirs.user_cache_dir("trackastra-engine"))


def _listed(places: list[Path]) -> str:
    return ", ".join(map(str, places[:-1])) + f" or {places[-1]}"
