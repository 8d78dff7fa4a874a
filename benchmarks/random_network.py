"""A network of the size of upstream's published ones, for both programs; its weights are random."""

from pathlib import Path

import torch

from benchmarks.workers.engine import MODEL_FILE
from trackastra_engine.model.spec import ModelSpec
from trackastra_export.graph import build_graph
from trackastra_training.checkpoint import save_model
from trackastra_training.transformer import TrackingTransformer, TransformerConfig

WINDOW = 4  # frames
WIDTH = 256
CUTOFF_PX = 256
HEAD_GAIN = 4.0  # spreads scores over 0 to 1: 1.2 candidates and 0.7 links a detection
SPEC = ModelSpec(
    name="random",
    ndim=2,
    window=WINDOW,
    recipe="upstream",
    normalisation="movie",
    cutoff=CUTOFF_PX,
    averaging="above_threshold",
)


def published_size() -> TrackingTransformer:
    """Return the network; equal heads for sources and targets give similar tokens high scores."""
    torch.manual_seed(0)
    config = TransformerConfig(
        coord_dim=2,
        feat_dim=7,
        d_model=WIDTH,
        nhead=4,
        num_encoder_layers=6,
        num_decoder_layers=6,
        dropout=0.0,
        feat_embed_per_dim=8,
        window=WINDOW,
        spatial_pos_cutoff=CUTOFF_PX,
    )
    model = TrackingTransformer(config).eval()
    with torch.no_grad():
        model.head_x.fc2.weight.mul_(HEAD_GAIN)
        model.head_x.fc2.bias.mul_(HEAD_GAIN)
        model.head_y.load_state_dict(model.head_x.state_dict())
    return model


def write_network(folder: Path) -> None:
    """Write the network into a folder, in the forms of upstream and of the engine."""
    model = published_size()
    save_model(model, SPEC, folder)
    (folder / "train_config.yaml").write_text("features: wrfeat\n")
    (folder / MODEL_FILE).write_bytes(build_graph(model, SPEC).SerializeToString())
