# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The losses written a second time, pair by pair in Python loops and float64, and how to compare against them."""

from __future__ import annotations

import itertools
from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

REDUCTIONS = ("mean", "sum", "none")
DTYPES = (torch.float32, torch.float64)


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def grades(n, seed=0, lowest=-1, highest=3):
    return torch.randint(lowest, highest + 1, (n,), generator=torch.Generator().manual_seed(seed))


def cosine(a, b):
    return (a * b).sum() / ((a * a).sum().sqrt() * (b * b).sum().sqrt())


def reduced(terms, weights, reduction):
    """``terms`` and ``weights`` are lists of scalars; an empty list has mean and sum 0."""
    weighted = [term * weight for term, weight in zip(terms, weights)]
    if reduction == "none":
        return torch.stack(weighted)
    total = sum(weighted)
    return total / sum(weights) if reduction == "mean" else total


def nt_xent(first, second, temperature, reduction):
    n, views = len(first), [*first, *second]
    terms = []
    for i in range(2 * n):
        positive = torch.exp(cosine(views[i], views[(i + n) % (2 * n)]) / temperature)
        others = sum(torch.exp(cosine(views[i], views[k]) / temperature) for k in range(2 * n) if k != i)
        terms.append(-torch.log(positive / others))
    return reduced(terms, [1.0] * len(terms), reduction)


def margin_term(a, b, similar, margin):
    distance = 1 - cosine(a, b)
    hinge = margin - distance if distance < margin else distance * 0
    return 0.5 * (float(similar) * distance**2 + (1 - float(similar)) * hinge**2)


def margin_contrastive(input, other, similar, margin, reduction):
    terms = [margin_term(a, b, y, margin) for a, b, y in zip(input, other, similar)]
    return reduced(terms, [1.0] * len(terms), reduction)


def batch_margin_contrastive(input, labels, margin, balance, reduction):
    labels = labels.tolist()
    labelled = [i for i, label in enumerate(labels) if label >= 0]
    pairs = list(itertools.combinations(labelled, 2))
    terms = [margin_term(input[i], input[j], labels[i] == labels[j], margin) for i, j in pairs]
    if balance == "none":
        return reduced(terms, [1.0] * len(terms), reduction)
    # both images are drawn: first the class of each, then an image of it
    drawn = Counter((labels[i], labels[j]) for i, j in itertools.permutations(labelled, 2))
    chances = [1 / drawn[labels[i], labels[j]] + 1 / drawn[labels[j], labels[i]] for i, j in pairs]
    return reduced(terms, [chance * len(pairs) / sum(chances) for chance in chances], reduction)


def preference_term(distance_a, distance_b, preference, scale):
    worse = 1 / (1 + torch.exp(-scale * (distance_a - distance_b)))
    return -(float(preference) * torch.log(worse) + (1 - float(preference)) * torch.log(1 - worse))


def preference(distance_a, distance_b, preference, weight, scale, reduction):
    terms = [preference_term(a, b, y, scale) for a, b, y in zip(distance_a, distance_b, preference)]
    return reduced(terms, [1.0] * len(terms) if weight is None else weight.tolist(), reduction)


def batch_preference(distance, severity, scale, ties, balance, include_healthy, reduction):
    severity = severity.tolist()
    terms, groups = [], []
    for a, b in itertools.combinations(range(len(severity)), 2):
        low, high = sorted((severity[a], severity[b]))
        if low < (0 if include_healthy else 1) or (low == high and ties == "skip"):
            continue
        target = 0.5 if low == high and ties == "half" else float(severity[a] > severity[b])
        terms.append(preference_term(distance[a], distance[b], target, scale))
        groups.append((low, high))
    sizes = Counter(groups)
    even = [len(groups) / (len(sizes) * sizes[group]) for group in groups]
    return reduced(terms, even if balance == "grade" else [1.0] * len(terms), reduction)


def supervised_contrastive(input, labels, temperature, reduction):
    labels = labels.tolist()
    labelled = [i for i, label in enumerate(labels) if label >= 0]
    terms = []
    for i in labelled:
        others = [k for k in labelled if k != i]
        positives = [p for p in others if labels[p] == labels[i]]
        if positives:
            likeness = {k: torch.exp(cosine(input[i], input[k]) / temperature) for k in others}
            total = sum(likeness.values())
            terms.append(-sum(torch.log(likeness[p] / total) for p in positives) / len(positives))
    return reduced(terms, [1.0] * len(terms), reduction)


def rank_n_contrast(input, labels, temperature):
    """One term a pair (i, j), as a dictionary."""
    labels = labels.tolist()
    labelled = [i for i, label in enumerate(labels) if label >= 0]
    terms = {}
    for i in labelled:
        others = [k for k in labelled if k != i]
        likeness = {k: torch.exp(-((input[i] - input[k]) ** 2).sum().sqrt() / temperature) for k in others}
        for j in others:
            as_far = [k for k in others if abs(labels[i] - labels[k]) >= abs(labels[i] - labels[j])]
            terms[i, j] = -torch.log(likeness[j] / sum(likeness[k] for k in as_far))
    return terms


def corn(logits, grades, reduction):
    """Binary cross-entropy of "worse than k" over all (image, k) with a grade of at least k, one by one."""
    terms = []
    for row, grade in zip(logits, grades.tolist()):
        for k in range(len(row)):
            if grade >= k:
                worse = 1 / (1 + torch.exp(-row[k]))
                terms.append(-torch.log(worse if grade > k else 1 - worse))
    stacked = torch.stack(terms)
    return {"mean": stacked.mean(), "sum": stacked.sum(), "none": stacked}[reduction]


def barlow_twins(first, second, epsilon):
    """Invariance and redundancy, correlation by correlation."""

    def standardized(column):
        centred = column - sum(column) / len(column)
        return centred / ((centred**2).sum() / len(column) + epsilon).sqrt()

    invariance, redundancy = 0.0, 0.0
    for d, e in itertools.product(range(first.shape[1]), repeat=2):
        correlation = (standardized(first[:, d]) * standardized(second[:, e])).sum() / len(first)
        if d == e:
            invariance = invariance + (1 - correlation) ** 2
        else:
            redundancy = redundancy + correlation**2
    return invariance, redundancy


def value_and_gradients(function, *inputs):
    """The value, and the gradients of its sum with respect to each input."""
    leaves = [value.detach().clone().requires_grad_() for value in inputs]
    value = function(*leaves)
    return value.detach(), torch.autograd.grad(value.sum(), leaves)


def assert_agree(function, oracle, *inputs, tolerance=None):
    """``function`` on the inputs as they are equals ``oracle`` on them in float64, in value and gradients.

    The tolerance is a multiple of the machine precision of the inputs' type unless one is given.
    """
    tolerance = tolerance or {torch.float32: 2e-5, torch.float64: 2e-7}[inputs[0].dtype]
    value, gradients = value_and_gradients(function, *inputs)
    expected, expected_gradients = value_and_gradients(oracle, *(x.double() for x in inputs))
    assert value.shape == expected.shape
    for ours, theirs in zip((value, *gradients), (expected, *expected_gradients)):
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=tolerance, atol=tolerance)


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest storage that any operation returns."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                elements = tensor.untyped_storage().nbytes() // tensor.element_size()
                self.elements = max(self.elements, elements, tensor.numel())
        return result
