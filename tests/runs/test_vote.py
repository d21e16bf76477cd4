"""The vote against a slow and obvious twin, and its rules one by one."""

import json
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from src.runs.vote import NO_ANSWER, Mistake, vote

NAN = float("nan")


def slow_answers(members: list[list[list[float]]]) -> tuple[list[int], list[int]]:
    """Plurality and mean probability of one vote, by counting, in exact arithmetic."""
    plurality, mean = [], []
    for image in zip(*members, strict=True):
        votes = [row.index(max(row)) for row in image]
        summed = [sum(Fraction(row[c]) for row in image) for c in range(len(image[0]))]
        ranked = sorted(range(len(summed)), key=lambda c: (-votes.count(c), -summed[c], c))
        plurality.append(ranked[0])
        mean.append(summed.index(max(summed)))
    return plurality, mean


@st.composite
def ballots(draw: st.DrawFn) -> tuple[list[list[list[float]]], list[int]]:
    networks, images, classes = draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(st.integers(2, 4))
    eighths = st.integers(0, 8).map(lambda n: n / 8)  # sums are exact, and ties are frequent
    row = st.lists(eighths, min_size=classes, max_size=classes)
    member = st.lists(row, min_size=images, max_size=images)
    members = draw(st.lists(member, min_size=networks, max_size=networks))
    return members, draw(st.lists(st.integers(0, classes - 1), min_size=images, max_size=images))


def shares(answers: list[int], labels: list[int]) -> float:
    return sum(a == b for a, b in zip(answers, labels, strict=True)) / len(labels)


@settings(max_examples=60)
@given(ballots())
def test_the_vote_agrees_with_counting_by_hand(ballot: tuple[list[list[list[float]]], list[int]]) -> None:
    members, labels = ballot
    result = vote(torch.tensor(members), torch.tensor(labels))
    plurality, mean = slow_answers(members)
    assert result.answers.tolist() == plurality
    assert result.accuracy == shares(plurality, labels)
    assert result.mean_probability_accuracy == shares(mean, labels)
    assert result.member_accuracies == [shares([row.index(max(row)) for row in one], labels) for one in members]
    wrong = [i for i, (a, b) in enumerate(zip(plurality, labels, strict=True)) if a != b]
    assert result.errors == [Mistake(i, labels[i], plurality[i]) for i in wrong]


@settings(max_examples=60)
@given(ballots(), st.randoms(use_true_random=False))
def test_the_order_of_the_networks_changes_nothing(ballot, random) -> None:  # type: ignore[no-untyped-def]
    members, labels = ballot
    before = vote(torch.tensor(members), torch.tensor(labels))
    random.shuffle(members)
    after = vote(torch.tensor(members), torch.tensor(labels))
    assert torch.equal(before.answers, after.answers)
    assert (before.accuracy, before.mean_probability_accuracy) == (after.accuracy, after.mean_probability_accuracy)


def two_against_one() -> Tensor:
    """Two networks say 1 without conviction, one says 0 with much."""
    return torch.tensor([[[0.45, 0.55]], [[0.45, 0.55]], [[0.99, 0.01]]])


def test_plurality_counts_networks_and_the_mean_weighs_them() -> None:
    result = vote(two_against_one(), torch.tensor([1]))
    assert result.answers.tolist() == [1]
    assert (result.accuracy, result.mean_probability_accuracy) == (1.0, 0.0)


def test_a_tie_of_votes_goes_to_the_larger_sum_of_probabilities() -> None:
    tied = torch.tensor([[[0.6, 0.4, 0.0]], [[0.1, 0.9, 0.0]]])
    assert vote(tied, torch.tensor([0])).answers.tolist() == [1]


def test_a_tie_does_not_go_to_a_class_without_votes() -> None:
    third_has_most_probability = torch.tensor([[[0.51, 0.0, 0.49]], [[0.0, 0.52, 0.48]]])
    assert vote(third_has_most_probability, torch.tensor([0])).answers.tolist() == [1]


@pytest.mark.parametrize("broken", [NAN, float("inf")])
def test_a_member_that_is_not_finite_has_no_vote(broken: float) -> None:
    three = two_against_one()
    three[0, 0, 0] = broken
    result = vote(three, torch.tensor([0]))
    assert result.answers.tolist() == [0]  # one against one, and the sum decides
    assert result.member_accuracies == [None, 0.0, 1.0]
    assert result.voters == 2


def test_without_voters_there_is_no_accuracy_and_no_error() -> None:
    result = vote(torch.full((2, 3, 4), NAN), torch.tensor([0, 1, 2]))
    assert result.accuracy is None
    assert result.mean_probability_accuracy is None
    assert result.voters == 0
    assert result.answers.tolist() == [NO_ANSWER] * 3
    assert result.errors == []


def test_without_images_or_networks_there_is_no_accuracy() -> None:
    assert vote(torch.zeros(2, 0, 4), torch.zeros(0, dtype=torch.int64)).accuracy is None
    assert vote(torch.zeros(0, 2, 4), torch.tensor([0, 1])).accuracy is None


@pytest.mark.parametrize(("shape", "labels"), [((2, 3), 2), ((2, 3, 4), 2)])
def test_wrong_shapes_are_refused_by_both_shapes(shape: tuple[int, ...], labels: int) -> None:
    with pytest.raises(ValueError, match=r"probabilities \(2, 3.*labels \(2,\).*\(networks, images, classes\)"):
        vote(torch.zeros(shape), torch.zeros(labels, dtype=torch.int64))


def test_the_json_lists_every_error_and_no_tensor() -> None:
    result = vote(two_against_one(), torch.tensor([0]))
    assert json.loads(json.dumps(result.as_json())) == {
        "accuracy": 0.0,
        "mean_probability_accuracy": 1.0,
        "member_accuracies": [0.0, 0.0, 1.0],
        "voters": 3,
        "errors": [{"image": 0, "true": 0, "given": 1}],
    }
