# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["n_moments", "preference_moments_loss"]

_PRECISION = torch.finfo(torch.float64).eps
_NARROWEST = 1e-3


def n_moments(half_range: float, scale: float) -> int:
    r"""Number n of Chebyshev nodes at which :math:`\log(1 + e^{\beta (x - y)})` is known to float64's rounding.

    For x and y in an interval of half length a, the function of either is analytic inside the Bernstein ellipse of
    parameter :math:`\rho` whose minor half axis is :math:`0.9 \pi / (\beta a)`, and its modulus there stays below
    :math:`M = \beta a (2 + (\rho + 1/\rho) / 2) + \log 2 + \pi`. Interpolation at n nodes then errs by at most
    :math:`4 M \rho^{1-n} / (\rho - 1)` (Trefethen 2013, Approximation Theory and Approximation Practice, theorem 8.2),
    and a derivative by no more than 2 n² times that. Interpolation in the second argument magnifies it by less than n.

    Args:
        half_range: a > 0.
        scale: :math:`\beta > 0`.

    Example:
        >>> n_moments(1.0, scale=1.0), n_moments(1.0, scale=10.0)
        (29, 212)
    """
    minor = 0.9 * math.pi / (scale * half_range)
    rho = minor + math.hypot(1, minor)
    modulus = scale * half_range * (2 + (rho + 1 / rho) / 2) + math.log(2) + math.pi
    needed = math.log(8 * modulus * rho / (rho - 1) / _PRECISION)
    n, enough = 0, 2
    while n < enough:
        n = enough
        enough = math.ceil((needed + 3 * math.log(n)) / math.log(rho))
    return n


def preference_moments_loss(
    distance: Tensor, severity: Tensor, scale: float, ties: str, balance: str, reduction: str
) -> Tensor | None:
    r"""All-pairs preference loss in O(N n) time and memory, without the pairs.

    A pair's loss is a smooth function of its two distances, :math:`k(x, y) = \log(1 + e^{-\beta (x - y)})`, so
    polynomial interpolation in both arguments at n Chebyshev nodes t equals it to rounding (see :func:`n_moments`):
    with the Lagrange polynomials :math:`\ell`,

    .. math::
        \sum_{i \in u} \sum_{j \in v} k(d_i, d_j) = m_u^T K m_v, \qquad
        K_{pq} = k(t_p, t_q), \qquad m_{u,p} = \sum_{i \in u} \ell_p(d_i)

    The weights of pairs of grades are products too, so that the sum over all lower grades is a running one. All in
    float64.

    Args:
        distance: distance of each image that is compared, shape (N,), N at least 1.
        severity: its grade, shape (N,).
        scale: see :func:`monai_semise.losses.preference_loss`.
        ties: see :func:`monai_semise.losses.comparable_pairs`.
        balance: see :func:`monai_semise.losses.batch_preference_loss`.
        reduction: ``"mean"`` or ``"sum"``.

    Returns:
        scalar, or None where the moments are no fewer than the images, so that the pairs cost less, or a distance is
        not finite.

    Example:
        >>> import torch
        >>> distance, severity = torch.linspace(0, 1, 100), torch.arange(100) // 25
        >>> preference_moments_loss(distance, severity, 1.0, "skip", "grade", "mean")
        tensor(0.5101)
    """
    nearest, furthest = (float(bound) for bound in distance.detach().aminmax())
    if not math.isfinite(furthest - nearest):
        return None
    half_range = max(0.505 * (furthest - nearest), _NARROWEST)  # the ends are no images: arccos is smooth at all
    n = n_moments(half_range, scale)
    if n >= len(distance):
        return None
    position = (distance.double() - (nearest + furthest) / 2) / half_range
    _, group, size = torch.unique(severity, return_inverse=True, return_counts=True)
    moments = _moments(position, group, len(size), n)
    nodes = half_range * _angles(n, position).cos()
    logits = scale * (nodes - nodes[:, None])
    kernel = torch.logaddexp(logits, torch.zeros_like(logits))  # softplus rounds to a line beyond 20
    size = size.double()
    weight = 1 / size if balance == "grade" else torch.ones_like(size)
    weighted = weight[:, None] * moments
    total = (weighted[1:] @ kernel * weighted.cumsum(dim=0)[:-1]).sum()
    n_pairs = (size[1:] * size.cumsum(dim=0)[:-1]).sum()
    n_groups = n_pairs.new_tensor(len(size) * (len(size) - 1) / 2)
    if ties != "skip":
        within = ((moments @ kernel * moments).sum(dim=1) - size * math.log(2)) / 2
        if ties == "zero":
            within = within + scale * _ordered_differences(distance.double(), group, size) / 2
        of_group = size * (size - 1) / 2
        tied = of_group > 0
        total = total + (within[tied] / of_group[tied] if balance == "grade" else within).sum()
        n_pairs, n_groups = n_pairs + of_group.sum(), n_groups + tied.sum()
    mean = total / (n_groups if balance == "grade" else n_pairs).clamp_min(1)
    loss = mean * n_pairs if reduction == "sum" else mean
    return loss.to(torch.promote_types(distance.dtype, torch.float32))


def _angles(n: int, like: Tensor) -> Tensor:
    return (torch.arange(n, dtype=like.dtype, device=like.device) + 0.5) * (math.pi / n)


def _moments(position: Tensor, group: Tensor, n_groups: int, n: int) -> Tensor:
    """Sums of the n Lagrange polynomials over the positions, in (-1, 1), of each group; shape (groups, n)."""
    order = torch.arange(n, dtype=position.dtype, device=position.device)
    chebyshev = (position.arccos()[:, None] * order).cos()
    sums = position.new_zeros(n_groups, n).index_add(0, group, chebyshev)
    lagrange = (_angles(n, position)[:, None] * order).cos() * (2 / n)
    return (sums * torch.where(order == 0, 0.5, 1.0)) @ lagrange.T


def _ordered_differences(distance: Tensor, group: Tensor, size: Tensor) -> Tensor:
    """Sum of d_a - d_b over the pairs a < b of each group, shape (groups,)."""
    order = group.argsort(stable=True)
    sorted_group = group[order]
    first = size.cumsum(dim=0) - size
    rank = torch.arange(len(order), device=order.device) - first[sorted_group]
    signed = distance[order] * (size[sorted_group] - 1 - 2 * rank)
    return distance.new_zeros(len(size)).index_add(0, sorted_group, signed)
