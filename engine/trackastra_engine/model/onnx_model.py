"""Score the tokens of a window with an ONNX model; only this module uses ONNX Runtime."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from importlib import import_module, resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.errors import InputError, MissingDependencyError, ModelError, first_line
from trackastra_engine.model.attention_plan import (
    PLAN_INPUTS,
    AttentionPlan,
    joined,
    plan_attention,
)
from trackastra_engine.model.devices import PACKAGES, PROVIDER_OPTIONS, PROVIDERS, Device
from trackastra_engine.model.edges import Edges
from trackastra_engine.model.model_file import AT_ONCE, computed_at_once
from trackastra_engine.model.spec import METADATA_KEY, ModelSpec
from trackastra_engine.model.tokens import Tokens

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "general_2d"
DEFAULT_MODELS = {2: DEFAULT_MODEL, 3: "general_3d"}  # by spatial axes of the movie
# Of a window, from which two threads inside a run save time: .15 of it, .2 at 2,000 tokens.
THREADED_TOKENS = 400
# Nearest sources of a target in a frame that are scored, except with upstream's models. Within the
# cutoff are up to 230 in 2D. Both gave the same links of 32 real movies, and the nearest took 28 %
# less time in the mean (benchmarks/sources.py).
MOST_SOURCES = 16
TOKENS_AT_ONCE = 2**15  # in a run; attention needs about 30 kB for each at the published size


def model_path(model: str | Path) -> Path:
    """Return the file of an embedded model's name, or of a path to an `.onnx` file.

    Raises ModelError if there is neither.
    """
    embedded = resources.files("trackastra_engine.model") / "embedded" / f"{model}.onnx"
    path = Path(str(embedded)) if embedded.is_file() else Path(model)
    if not path.is_file():
        raise ModelError(
            f"there is no model {str(model)!r}; give one of {', '.join(embedded_models())} "
            "or the path of an .onnx file from trackastra-engine import"
        )
    return path


def file_digest(path: Path) -> str:
    """Return a digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def embedded_models() -> list[str]:
    """Return the names of the models in this package."""
    folder = resources.files("trackastra_engine.model") / "embedded"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".onnx"))


class AssociationModel:
    """A trained model that scores how likely detections of a window belong together."""

    def __init__(
        self,
        session: Any,
        spec: ModelSpec,
        path: Path,
        threaded: Any | None = None,
        *,
        all_sources: bool = False,
    ) -> None:
        """Score with a session, and large windows with a threaded one, if given; see `load`."""
        self._session = session
        self._threaded = threaded
        self._in_threads: dict[int, AssociationModel] = {}
        # All blocks in one batch, for GPUs, or one after the other.
        self.is_at_once = session.get_modelmeta().graph_name == AT_ONCE
        self._all_sources = all_sources
        # Nearest sources of a target in a frame that are scored; None: all within the cutoff.
        self.most_sources = None if all_sources or spec.recipe == "upstream" else MOST_SOURCES
        self.spec = spec
        self.path = path

    @classmethod
    def load(
        cls,
        model: str | Path = DEFAULT_MODEL,
        *,
        device: Device = "auto",
        all_sources: bool = False,
    ) -> "AssociationModel":
        """Return the model of that name or file, ready to run on `device`.

        "auto" uses CUDA if it works, and logs the device. With `all_sources`, all sources of a
        target within the cutoff are scored, as always with upstream's models.

        Raises ModelError if the file is not a model of the engine or the device is not available,
        and MissingDependencyError without ONNX Runtime.
        """
        path = model_path(model)
        session = _open_session(path, device)
        metadata = session.get_modelmeta().custom_metadata_map
        if METADATA_KEY not in metadata:
            raise ModelError(
                f"{path} is an ONNX file without trackastra-engine's metadata; "
                "make one with trackastra-engine import"
            )
        if not set(PLAN_INPUTS) <= {value.name for value in session.get_inputs()}:
            raise ModelError(f"{path} was exported for an earlier engine; export it again")
        spec = ModelSpec.from_json(metadata[METADATA_KEY])
        return cls(session, spec, path, all_sources=all_sources)

    def in_threads(self, n_threads: int) -> "AssociationModel":
        """Return the model that scores single windows fastest, with the same scores.

        On a CPU it computes large windows with `n_threads` threads. For several windows, it is
        faster to call this model from one thread per window.
        """
        if n_threads == 1 or self.device != "cpu":
            return self
        if n_threads not in self._in_threads:
            threaded = _new_session(import_runtime(), self.path, "cpu", threads=n_threads)
            self._in_threads[n_threads] = AssociationModel(
                self._session, self.spec, self.path, threaded, all_sources=self._all_sources
            )
        return self._in_threads[n_threads]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the model as its file, which another process opens."""
        return _reopened, (self.path, self.device, self.identity, self._all_sources)

    @property
    def device(self) -> str:
        """Return the device of the model; operators that it lacks run on the CPU."""
        used = self._session.get_providers()
        return next(name for name in (*list(PROVIDERS)[1:], "cpu") if PROVIDERS[name] in used)

    @cached_property
    def identity(self) -> str:
        """Return a text that differs if scores may differ, even in their last digits."""
        return f"{self.digest} {self.device} {import_runtime().__version__} {self.most_sources}"

    @cached_property
    def digest(self) -> str:
        """Return a digest of the file."""
        return file_digest(self.path)

    def associate(self, tokens: Tokens, *, max_gap: int = 1) -> Edges:
        """Return scored edges between tokens within the cutoff, 1..max_gap frames apart.

        Scores are the parental softmax (paper, eq. 5) over the `most_sources` nearest sources of a
        target in a frame.
        """
        plan = self._plan(tokens, max_gap)
        return plan.edges(self._scores(plan, tokens))

    def associate_together(self, windows: Sequence[Tokens], *, max_gap: int = 1) -> Iterator[Edges]:
        """Yield the edges of each window, as `associate`; one run scores windows that fill a GPU.

        The model must compute all blocks at once.
        """
        for some in _in_groups(windows):
            plan = joined([self._plan(tokens, max_gap) for tokens in some])
            tokens = Tokens(
                np.concatenate([tokens.coordinates for tokens in some]),
                np.concatenate([tokens.features for tokens in some]),
            )
            edges = plan.edges(self._scores(plan, tokens))
            begins = np.cumsum([0, *(len(tokens.features) for tokens in some)])
            window = np.searchsorted(begins, edges.source, side="right") - 1  # in order
            for number, begin in enumerate(begins[:-1]):
                yield edges.rows(np.flatnonzero(window == number)).shifted(-int(begin))

    def _plan(self, tokens: Tokens, max_gap: int) -> AttentionPlan:
        """Return the plan of a window."""
        return plan_attention(
            tokens.coordinates,
            self.spec.cutoff,
            max_gap=max_gap,
            most_sources=self.most_sources,
            filled=self.is_at_once,
        )

    def _scores(self, plan: AttentionPlan, tokens: Tokens) -> FloatArray:
        """Return the scores of the plan's candidates."""
        if plan.candidates.size == 0:
            return np.empty(plan.candidates.shape, np.float32)
        inputs = {
            "coordinates": tokens.coordinates[plan.token],
            "features": tokens.features[plan.token],
            **plan.inputs(),
        }
        session = self._session
        if self._threaded is not None and len(tokens.features) >= THREADED_TOKENS:
            session = self._threaded
        scores: FloatArray = session.run(["scores"], inputs)[0]
        return scores


@lru_cache(maxsize=1)
def _reopened(path: Path, device: Device, identity: str, all_sources: bool) -> AssociationModel:
    """Return the model of a file, once in a process; raises ModelError if scores may differ."""
    model = AssociationModel.load(path, device=device, all_sources=all_sources)
    if model.identity != identity:
        raise ModelError(
            f"{path} or ONNX Runtime differs here ({model.identity}) from the machine that began "
            f"the tracking ({identity}); install the same on all machines"
        )
    return model


def _in_groups(windows: Sequence[Tokens]) -> Iterator[list[Tokens]]:
    """Yield neighbouring windows that have at most TOKENS_AT_ONCE tokens together, or one."""
    group: list[Tokens] = []
    for tokens in windows:
        if sum(len(one.features) for one in [*group, tokens]) > TOKENS_AT_ONCE and group:
            yield group
            group = []
        group.append(tokens)
    if group:
        yield group


def _open_session(path: Path, device: Device) -> Any:
    if device not in ("auto", *PROVIDERS):
        raise InputError(f"there is no device {device!r}; choose auto, {', '.join(PROVIDERS)}")
    runtime = import_runtime()
    if device in PACKAGES:
        return _session_on(device, runtime, path)
    if device == "cuda" and not has_cuda():
        raise ModelError(f"device cuda is not available: {cuda_advice()}; or choose cpu")
    if device != "cpu" and has_cuda():
        session = _new_session(runtime, path, "cuda", "cpu")
        # If CUDA fails, the session silently runs on the CPU.
        if PROVIDERS["cuda"] in session.get_providers():
            logger.info("%s runs on %s", path.name, PROVIDERS["cuda"])
            return session
        if device == "cuda":
            raise ModelError(f"device cuda could not be started: {cuda_advice()}; or choose cpu")
        logger.warning("CUDA could not be started, so the CPU is used: %s", cuda_advice())
    logger.info("%s runs on %s", path.name, PROVIDERS["cpu"])
    return _new_session(runtime, path, "cpu")


def _session_on(device: Device, runtime: Any, path: Path) -> Any:
    """Return a session on a device that is used only on request."""
    offered = runtime.get_available_providers()
    if PROVIDERS[device] not in offered:
        names = ", ".join(name for name, provider in PROVIDERS.items() if provider in offered)
        raise ModelError(
            f"device {device} is not available: the installed ONNX Runtime has {names}; install "
            f"{PACKAGES[device]}, or choose one of these"
        )
    session = _new_session(runtime, path, device, "cpu")
    if PROVIDERS[device] not in session.get_providers():
        raise ModelError(f"device {device} could not be started; choose the device cpu")
    logger.info("%s runs on %s", path.name, PROVIDERS[device])
    return session


def _new_session(runtime: Any, path: Path, *devices: Device, threads: int = 1) -> Any:
    """Return a session of the model, with the graph for the first of the devices."""
    providers = [(PROVIDERS[name], PROVIDER_OPTIONS.get(name, {})) for name in devices]
    try:
        model = str(path) if devices[0] == "cpu" else computed_at_once(path.read_bytes())
        options = session_options(runtime, devices[0], threads)
        return runtime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        fault = "read as an ONNX model" if devices[0] not in PACKAGES else f"run on {devices[0]}"
        raise ModelError(f"{path} cannot be {fault} ({first_line(error)})") from error


def session_options(runtime: Any, device: Device, threads: int = 1) -> Any:
    """Return the options of a session of ONNX Runtime; threads: of each run."""
    options = runtime.SessionOptions()
    if device == "cpu":  # more needs 20 ms at each start, and saves no time later
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4  # the checks here report errors in one sentence
    # Patterns are stored for each shape of the inputs, which differs between windows: at 64 000
    # tokens they needed 2.4 GB instead of 1.5, and saved no time.
    options.enable_mem_pattern = False
    # The caller's thread is one of them, so that runs are parallel.
    options.intra_op_num_threads = threads
    # Threads that wait would spin: twice the CPU time at 2,000 tokens, and twice the time of one
    # thread where other programs compute, too.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def import_runtime() -> Any:
    """Return ONNX Runtime. Raises MissingDependencyError if it is not installed."""
    try:
        return import_module("onnxruntime")
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":  # an import that Ctrl-C interrupted, for example
            raise
        raise MissingDependencyError(
            "ONNX Runtime is missing; install trackastra-engine[cpu], or [gpu] for CUDA"
        ) from None


def has_cuda() -> bool:
    """Return whether ONNX Runtime was built with CUDA, which may not start on this machine."""
    return PROVIDERS["cuda"] in import_runtime().get_available_providers()


def cuda_advice() -> str:
    """Return advice to make CUDA available."""
    if _is_installed("onnxruntime") and _is_installed("onnxruntime-gpu"):
        return "onnxruntime hides onnxruntime-gpu; uninstall both, then install onnxruntime-gpu"
    if not _is_installed("onnxruntime-gpu"):
        return "it needs onnxruntime-gpu; install trackastra-engine[gpu] instead of [cpu]"
    return "onnxruntime-gpu found no working CUDA driver, CUDA 13 or cuDNN 9"


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
