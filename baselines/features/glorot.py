"""Weights as SchNet, MEGNet and M3GNet start with them, and as Keras initialises layers by default."""

from torch import nn

EMBEDDING_RANGE = 0.05


def glorot_linear(module: nn.Module) -> None:
    """Draws every linear layer of `module` anew: weights uniform in ±sqrt(6 / (in + out)), biases 0.

    X. Glorot and Y. Bengio, AISTATS 2010, Eq. 16.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def keras_defaults(module: nn.Module) -> None:
    """As `glorot_linear`, and every embedding uniform in ±0.05."""
    glorot_linear(module)
    for layer in module.modules():
        if isinstance(layer, nn.Embedding):
            nn.init.uniform_(layer.weight, -EMBEDDING_RANGE, EMBEDDING_RANGE)
