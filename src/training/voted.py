"""The vote of several checkpoints of one network, its *snapshots*: a snapshot ensemble.

With snapshots = S the weights at the ends of a member's last S epochs are kept, of those that snapshot_every_epochs
divides, as they are judged (running means where `average` says so). Their answer is the mean of their predictions, such
as probabilities. The last epochs of one falling rate give networks that are much alike; in the source the rate rises
again and again, with a snapshot at the end of each cycle.
Source: G. Huang et al., Snapshot Ensembles: Train 1, Get M for Free (2017); CS231n, "Model Ensembles".
Legend: N examples.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from src.data.dataset import Dataset
from src.data.views import answers
from src.training.engines.choose import evaluating_engine
from src.training.engines.engine import Engine, State
from src.training.result import Result
from src.training.stack import Member, hyper_of_stack

Predictions = tuple[Tensor, Tensor]  # of one member on the validation and the test set, (N, …) float32 each


def voted(training: Engine, members: Sequence[Member], results: Sequence[Result], data: Dataset) -> list[Result]:
    """The members' results; those with snapshots have the scores of their vote on the validation and the test set.

    training: the engine that trained them; data: the data set of these members, in their order.
    """
    sums: dict[int, Predictions] = {}  # by member, over its snapshots so far
    for number in range(max((len(one.snapshot_weights) for one in results), default=0)):
        voting = [k for k, one in enumerate(results) if len(one.snapshot_weights) > number]
        states = [results[k].snapshot_weights[number] for k in voting]
        each = _predictions(training, [members[k] for k in voting], states, data)
        for k, (validation, test) in zip(voting, each, strict=True):
            sums[k] = (sums[k][0] + validation, sums[k][1] + test) if k in sums else (validation, test)
    whole, task = list(results), training.spec.task
    for k, (validation, test) in sums.items():
        own, count = data.of_fold(members[k].fold), len(whole[k].snapshot_weights)
        whole[k] = replace(
            whole[k],
            snapshots_validation_score=task.score_of(validation / count, own.validation.targets.cpu()),
            snapshots_test_score=task.score_of(test / count, own.test.targets.cpu()),
        )
    return whole


def _predictions(
    training: Engine, members: Sequence[Member], states: Sequence[State], data: Dataset
) -> list[Predictions]:
    """What members with these states predict; in a cross-validation each for the examples of its own fold."""
    state = {name: torch.stack([one[name] for one in states]) for name in states[0]}
    engine = evaluating_engine(training, members[0].config, hyper_of_stack(list(members)), state)
    found: dict[int, Predictions] = {}
    for fold in {member.fold for member in members}:
        here, own = [k for k, member in enumerate(members) if member.fold == fold], data.of_fold(fold)
        augment = [members[k].config.augment for k in here]
        both = [answers(engine.predictions, split.inputs, here, augment) for split in (own.validation, own.test)]
        found |= zip(here, zip(*both, strict=True), strict=True)
    return [found[k] for k in range(len(members))]
