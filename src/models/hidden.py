"""Which of a network's parameters are hidden matrices, for update rules that treat these by themselves.

Source: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), and the readme of its code.
"""

from torch import Tensor, nn


def hidden_matrices(network: nn.Module) -> frozenset[str]:
    """The names of the weights between the network's first and its last matrix, in the order of its definition.

    A matrix has two dimensions or more, flattened to (rows, the rest), with several rows and several columns: dense,
    recurrent and attention weights, and convolutions. Embeddings are matrices, but none of them is hidden. The first
    matrix takes the inputs and the last one gives the outputs; with fewer than three there is no hidden one.
    """
    matrices = [(name, w) for name, w in network.named_parameters(remove_duplicate=False) if _is_matrix(w)]
    others = [one.weight for one in network.modules() if isinstance(one, nn.Embedding | nn.EmbeddingBag)]
    others += [w for _, w in (matrices[:1] + matrices[-1:])]
    return frozenset(name for name, w in matrices if all(w is not other for other in others))


def _is_matrix(weight: Tensor) -> bool:
    return weight.dim() >= 2 and weight.shape[0] > 1 and weight[0].numel() > 1
