"""The vote of several networks: the chapter's ensemble [N6, conv.py `ensemble`].

(1) plurality: each network votes for its most probable class; the class with most votes is the answer. Among classes
    with equally many votes, the one with the larger sum of probabilities over all voters (the chapter does not say).
(2) mean probability: the class with the largest sum of probabilities over all voters.
If two classes are equal even then, the lower one is the answer.

Legend: V networks, N images, C classes.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

NO_ANSWER = -1


@dataclass(frozen=True)
class Mistake:
    """An image to which the plurality gave a wrong answer."""

    image: int  # its index in the test set
    true: int  # its class
    given: int  # the class that was given


@dataclass(frozen=True)
class Vote:
    """The result of a vote. Accuracies are in 0…1, None where no network voted or there was no image.

    answers: those of the plurality (N,) int64; NO_ANSWER where no network voted.
    errors: the plurality's mistakes in the order of the images; empty where no network voted.
    member_accuracies: one for each network, None for a network without a vote.
    """

    accuracy: float | None
    mean_probability_accuracy: float | None
    member_accuracies: list[float | None]
    answers: Tensor
    errors: list[Mistake]

    @property
    def voters(self) -> int:
        """The number of networks that had a vote."""
        return sum(accuracy is not None for accuracy in self.member_accuracies)

    def as_json(self) -> dict[str, Any]:
        """All fields as plain values but `answers`, which follow from labels and errors."""
        return {
            "accuracy": self.accuracy,
            "mean_probability_accuracy": self.mean_probability_accuracy,
            "member_accuracies": self.member_accuracies,
            "voters": self.voters,
            "errors": [mistake.__dict__ for mistake in self.errors],
        }


def vote(probabilities: Tensor, labels: Tensor) -> Vote:
    """The vote of V networks on N images, by (1) and (2).

    probabilities: (V, N, C) of any float type and device; labels: (N,) classes.
    A network with a NaN or infinite probability has no vote on any image; if no network has a vote, accuracies are
    None. Raises ValueError for other shapes.
    """
    if probabilities.ndim != 3 or labels.shape != probabilities.shape[1:2]:
        raise ValueError(
            f"probabilities {tuple(probabilities.shape)} with labels {tuple(labels.shape)}: "
            "a vote needs (networks, images, classes) and (images,)"
        )
    given = probabilities.detach().cpu().double()  # (V, N, C)
    labels = labels.detach().cpu()
    has_vote = given.isfinite().all(dim=2).all(dim=1)  # (V,)
    if not has_vote.any() or not len(labels):
        nobody = torch.full_like(labels, NO_ANSWER, dtype=torch.int64)
        return Vote(None, None, [None] * len(given), nobody, [])

    choices = given.argmax(dim=2)  # (V, N)
    summed = given[has_vote].sum(dim=0)  # (N, C)
    counts = one_hot(choices[has_vote], num_classes=given.shape[2]).sum(dim=0)  # (N, C)
    most = counts == counts.max(dim=1, keepdim=True).values
    answers = summed.masked_fill(~most, float("-inf")).argmax(dim=1)  # (N,)
    wrong = (answers != labels).nonzero().flatten().tolist()
    return Vote(
        accuracy=_accuracy(answers, labels),
        mean_probability_accuracy=_accuracy(summed.argmax(dim=1), labels),
        member_accuracies=[_accuracy(choices[v], labels) if has_vote[v] else None for v in range(len(given))],
        answers=answers,
        errors=[Mistake(image, int(labels[image]), int(answers[image])) for image in wrong],
    )


def _accuracy(answers: Tensor, labels: Tensor) -> float:
    return int((answers == labels).sum()) / len(labels)
