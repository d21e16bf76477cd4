"""Whitening: inputs without correlations, each of variance 1, over the training split.

    Σ = E[(x − μ)ᵀ (x − μ)] = U diag(λ) Uᵀ            x a row of D numbers, μ its mean over the training split     (1)
    pca     z = (x − μ) U / sqrt(λ + ε)               components, those with the largest variance λ first         (2)
    zca     z = (x − μ) U diag(1 / sqrt(λ + ε)) Uᵀ    turned back, so that z lies as near to x as it can          (3)

ε keeps pixels that hardly vary from growing without bounds. An eigenvector's sign is free: here its largest entry is
positive. Sources: [CS231n] A. Karpathy et al., notes, "Neural Networks Part 2", Data Preprocessing, with ε = 1e-5;
A. Bell, T. Sejnowski, "The 'independent components' of natural scenes are edge filters" (1997), ZCA.
Legend: N examples, C channels, H × W pixels, D = C·H·W.
"""

from typing import Literal

import torch
from torch import Tensor

from src.data.one_thread import one_thread
from src.data.scaling import PART, as_seen


def whitening(inputs: Tensor, kind: Literal["pca", "zca"], epsilon: float) -> Tensor:
    """What whitens inputs as `as_seen` takes it, fitted on training inputs (N, C, H, W) uint8 or float32.

    epsilon: ε of (2) and (3), above 0, in the units of the variance of what a network would see otherwise. Returns
    (1 + D, D) float32: the mean, and below it the matrix by which rows x − μ are multiplied. Computed in float64.
    """

    def rows(part: Tensor) -> Tensor:
        return as_seen(part, None).double().flatten(1)

    with one_thread():
        mean = torch.stack([rows(part).sum(0) for part in inputs.split(PART)]).sum(0) / len(inputs)  # (D,)
        covariance = mean.new_zeros(len(mean), len(mean))
        for part in inputs.split(PART):
            centred = rows(part) - mean
            covariance.addmm_(centred.T, centred)
        variances, vectors = torch.linalg.eigh(covariance / len(inputs))  # ascending; (D,) and (D, D)
        variances, vectors = variances.flip(0).clamp(min=0), vectors.flip(1)  # rounding may make a 0 negative
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))  # (1, D)
        vectors = vectors * largest.sign()
        matrix = vectors / (variances + epsilon).sqrt()
        if kind == "zca":
            matrix = matrix @ vectors.T
    return torch.cat([mean[None], matrix]).float()
