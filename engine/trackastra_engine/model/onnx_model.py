"""Stage 4: an ONNX model scores the tokens of a window; nothing else here knows ONNX Runtime."""

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
THREADED_TOKENS = 400  # of a window from which threads within it save time
TOKENS_AT_ONCE = 2**15  # in a run; attention takes about 30 kB for each at the published size


def model_path(model: str | Path) -> Path:
    """Return the file of an embedded model's name, or of a path to an `.onnx` file.

    Raises ModelError if there is neither.
    """
    embedded = resources.files("trackastra_engine.model") / "embedded" / f"{model}.onnx"
    path = Path(str(embedded)) if embedded.is_file() else Path(model)
    if not path.is_file():
        raise ModelError(
            f"there is no model {str(model)!r}; give one of {', '.join(embedded_models())} "
            "or the path of an .onnx file made by trackastra-engine import"
        )
    return path


def embedded_models() -> list[str]:
    """Return the names of the models that come with the engine."""
    folder = resources.files("trackastra_engine.model") / "embedded"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".onnx"))


class AssociationModel:
    """A trained model that scores how likely detections of a window belong together."""

    def __init__(
        self, session: Any, spec: ModelSpec, path: Path, threaded: Any | None = None
    ) -> None:
        """Score with a session, and large windows with a threaded one, if there is one."""
        self._session = session
        self._threaded = threaded
        self._in_threads: dict[int, AssociationModel] = {}
        # All blocks in one batch, as GPUs like it, or one after the other.
        self.is_at_once = session.get_modelmeta().graph_name == AT_ONCE
        self.spec = spec
        self.path = path

    @classmethod
    def load(
        cls, model: str | Path = DEFAULT_MODEL, *, device: Device = "auto"
    ) -> "AssociationModel":
        """Return the model of that name or file, ready to run on `device`.

        "auto" takes CUDA where it works and logs what it took.

        Raises ModelError if the file is not a model of ours or the device cannot be had, and
        MissingDependencyError without ONNX Runtime.
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
            raise ModelError(f"{path} was made for an earlier engine; export the model again")
        return cls(session, ModelSpec.from_json(metadata[METADATA_KEY]), path)

    def in_threads(self, n_threads: int) -> "AssociationModel":
        """Return the model that scores one window at a time soonest, with the same scores.

        On a CPU it computes large windows by so many threads. Where several windows are there,
        it is faster to score each by a thread of its own, which may be done by this model here.
        """
        if n_threads == 1 or self.device != "cpu":
            return self
        if n_threads not in self._in_threads:
            threaded = _new_session(import_runtime(), self.path, "cpu", threads=n_threads)
            model = AssociationModel(self._session, self.spec, self.path, threaded)
            self._in_threads[n_threads] = model
        return self._in_threads[n_threads]

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the model be sent to another process, which opens the same file."""
        return _reopened, (self.path, self.device, self.identity)

    @property
    def device(self) -> str:
        """Return the device that the model runs on; what it cannot run, the CPU does."""
        used = self._session.get_providers()
        return next(name for name in (*list(PROVIDERS)[1:], "cpu") if PROVIDERS[name] in used)

    @cached_property
    def identity(self) -> str:
        """Return what changes if the scores may, even in their last digits."""
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return f"{digest} {self.device} {import_runtime().__version__}"

    def associate(self, tokens: Tokens, *, max_gap: int = 1) -> Edges:
        """Return scored edges between tokens: all pairs within the cutoff, 1..max_gap frames apart.

        Scores are the parental softmax (paper, eq. 5) over a target's sources in one frame.
        """
        cutoff = self.spec.cutoff
        plan = plan_attention(tokens.coordinates, cutoff, max_gap=max_gap, filled=self.is_at_once)
        return plan.edges(self._scores(plan, tokens))

    def associate_together(self, windows: Sequence[Tokens], *, max_gap: int = 1) -> Iterator[Edges]:
        """Yield the edges of each window, as `associate`, of as many in one run as fill a GPU.

        Only a model that computes all blocks at once can do so.
        """
        cutoff = self.spec.cutoff
        for some in _in_groups(windows):
            plan = joined(
                [
                    plan_attention(tokens.coordinates, cutoff, max_gap=max_gap, filled=True)
                    for tokens in some
                ]
            )
            tokens = Tokens(
                np.concatenate([tokens.coordinates for tokens in some]),
                np.concatenate([tokens.features for tokens in some]),
            )
            edges = plan.edges(self._scores(plan, tokens))
            begins = np.cumsum([0, *(len(tokens.features) for tokens in some)])
            window = np.searchsorted(begins, edges.source, side="right") - 1  # in order
            for number, begin in enumerate(begins[:-1]):
                yield edges.rows(np.flatnonzero(window == number)).shifted(-int(begin))

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
def _reopened(path: Path, device: Device, identity: str) -> AssociationModel:
    """Return the model of a file, once in a process; raises ModelError if scores may differ."""
    model = AssociationModel.load(path, device=device)
    if model.identity != identity:
        raise ModelError(
            f"{path} or ONNX Runtime is another here ({model.identity}) than where the tracking "
            f"began ({identity}); give all machines the same"
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
        raise ModelError(f"device cuda is not there: {cuda_advice()}; or choose the device cpu")
    if device != "cpu" and has_cuda():
        session = _new_session(runtime, path, "cuda", "cpu")
        # A session that asked for CUDA and did not get it runs on the CPU without a word.
        if PROVIDERS["cuda"] in session.get_providers():
            logger.info("%s runs on %s", path.name, PROVIDERS["cuda"])
            return session
        if device == "cuda":
            raise ModelError(f"device cuda could not be started: {cuda_advice()}; or choose cpu")
        logger.warning("CUDA could not be started, so the CPU is used: %s", cuda_advice())
    logger.info("%s runs on %s", path.name, PROVIDERS["cpu"])
    return _new_session(runtime, path, "cpu")


def _session_on(device: Device, runtime: Any, path: Path) -> Any:
    """Return a session on a device that is taken only where it is asked for."""
    offered = runtime.get_available_providers()
    if PROVIDERS[device] not in offered:
        names = ", ".join(name for name, provider in PROVIDERS.items() if provider in offered)
        raise ModelError(
            f"device {device} is not there: the installed ONNX Runtime offers {names}; install "
            f"{PACKAGES[device]}, or choose one of these"
        )
    session = _new_session(runtime, path, device, "cpu")
    if PROVIDERS[device] not in session.get_providers():
        raise ModelError(f"device {device} could not be started; choose the device cpu")
    logger.info("%s runs on %s", path.name, PROVIDERS[device])
    return session


def _new_session(runtime: Any, path: Path, *devices: Device, threads: int = 1) -> Any:
    """Return a session of the model in the form for the first of some devices."""
    providers = [(PROVIDERS[name], PROVIDER_OPTIONS.get(name, {})) for name in devices]
    try:
        model = str(path) if devices[0] == "cpu" else computed_at_once(path.read_bytes())
        options = session_options(runtime, devices[0], threads)
        return runtime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # ONNX Runtime's own exception types share no base class
        fault = "read as an ONNX model" if devices[0] not in PACKAGES else f"run on {devices[0]}"
        raise ModelError(f"{path} cannot be {fault} ({first_line(error)})") from error


def session_options(runtime: Any, device: Device, threads: int = 1) -> Any:
    """Return how ONNX Runtime is to run a model: each run by so many threads."""
    options = runtime.SessionOptions()
    if device == "cpu":  # where more takes 20 ms at each start, and saves no time afterwards
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4  # the checks here say what matters, in one sentence
    # Patterns are kept for each shape of the inputs, and hardly two windows have the same: at
    # 64 000 tokens they took 2.4 GB instead of 1.5, and saved no time.
    options.enable_mem_pattern = False
    options.intra_op_num_threads = threads  # one is the caller's, so that runs go side by side
    return options


def import_runtime() -> Any:
    """Return ONNX Runtime. Raises MissingDependencyError if it is not installed."""
    try:
        return import_module("onnxruntime")
    except ImportError:
        raise MissingDependencyError(
            "ONNX Runtime is missing; install trackastra-engine[cpu], or [gpu] for CUDA"
        ) from None


def has_cuda() -> bool:
    """Return whether ONNX Runtime comes with CUDA, which need not start on this machine."""
    return PROVIDERS["cuda"] in import_runtime().get_available_providers()


def cuda_advice() -> str:
    """Return what to do for CUDA to be there."""
    if _is_installed("onnxruntime") and _is_installed("onnxruntime-gpu"):
        return "onnxruntime hides onnxruntime-gpu; uninstall both, then install onnxruntime-gpu"
    if not _is_installed("onnxruntime-gpu"):
        return "it needs onnxruntime-gpu; install trackastra-engine[gpu] in place of [cpu]"
    return "onnxruntime-gpu found no working CUDA driver, CUDA 13 or cuDNN 9"


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
