"""Learning the association transformer, in PyTorch."""
