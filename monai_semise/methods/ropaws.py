# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monai_semise.losses.cosine import cosine_similarity_matrix
from monai_semise.methods.view_gathering import gather_views
from monai_semise.utils import gather_with_gradient
from monai_semise.utils.heads import CONTRAST

__all__ = ["RopawsLoss", "sharpened"]


def sharpened(probability: Tensor, temperature: float) -> Tensor:
    """Raise distributions to the power 1 / temperature and normalize them again.

    Args:
        probability: shape (N, K), rows sum to 1.
        temperature: below 1 makes the largest entry larger.

    Example:
        >>> sharpened(torch.tensor([[0.8, 0.2]]), temperature=0.5)
        tensor([[0.9412, 0.0588]])
    """
    return F.normalize(probability ** (1 / temperature), p=1.0, dim=1)


class RopawsLoss(nn.Module):
    r"""The loss of RoPAWS (Mo et al. 2023, arXiv 2302.14483), a robust PAWS (Assran et al. 2021, arXiv 2104.13963).

    Every view x of every image gets a distribution over the grades, read off the views l of graded images by kernel
    density, :math:`\kappa(x, l) = \exp(\cos(x, l) / \tau)`. In :math:`k^L` each grade has the same share of the labels
    (:math:`w_{xl}` is 1 over the number of views of that grade), in :math:`k^U` all ungraded views u have the same
    one. An image is no evidence of itself: :math:`\kappa` is 0 between its own views.

    .. math::
        k^L_{xl} = \frac{w_{xl} \kappa(x, l)}{K_x}, \quad
        k^U_{xu} = \frac{\kappa(x, u)}{N_U}, \quad
        Z_x = r \sum_l k^L_{xl} + \sum_u k^U_{xu}, \quad
        p_x = \frac{\sum_l k^L_{xl} q_l}{\sum_l k^L_{xl}}

    with smoothed labels q and :math:`K_x` grades among the labels. :math:`p_x` is what PAWS says. RoPAWS asks for the
    posterior of a grade and of lying in the domain of the labels, J, to which ungraded views contribute as much as they
    lie in it; with all of them it is the solution of linear equations:

    .. math::
        J_x = \pi_x \left( \sum_l \frac{r k^L_{xl}}{Z_x} q_l + \sum_u \frac{k^U_{xu}}{Z_x} J_u \right), \quad
        J_U = (I - \pi B)^{-1} \pi A q, \quad
        \pi_x = \exp\left( \frac{\max_l \cos(x, l) - 1}{\tau_\pi} \right)

    :math:`\pi` is the prior of lying in the domain, 1 of graded images. Outside it all grades are alike, so the target
    is :math:`t_x = J_x + (1 - m_x) / K` with :math:`m_x = \sum_k J_{xk}`, which the other view x' of the image shall
    meet, the more the more of the image lies in the domain:

    .. math::
        L = \frac{1}{2N} \sum_x \frac{m_x + m_{x'}}{2} \, H(\rho(t_x), p_{x'})
        - H\left(\frac{1}{2N} \sum_x \rho(p_x)\right), \quad
        \rho(p)_k \propto p_k^{1/T}

    Gradients flow through p alone, into views and labels.

    Args:
        n_grades: number of grades K.
        temperature: :math:`\tau > 0`.
        sharpening: T, in (0, 1].
        label_smoothing: share of a label that is spread over all grades, in (0, 1).
        label_ratio: r, how many times more the density of the labels counts than that of ungraded images.
        prior_temperature: :math:`\tau_\pi > 0`; the lower, the less do images count that resemble no graded one.

    Attributes:
        terms: cross-entropy H of the targets, entropy of the mean prediction and mean m of the last call, for the log.

    Example:
        >>> loss = RopawsLoss(n_grades=5)
        >>> loss(torch.randn(2, 4, 2, 16), {"severity": torch.tensor([0, 0, 3, -1])}).shape, sorted(loss.terms)
        (torch.Size([]), ['agreement', 'in_domain', 'mean_entropy'])
    """

    def __init__(
        self,
        n_grades: int,
        temperature: float = 0.1,
        sharpening: float = 0.25,
        label_smoothing: float = 0.1,
        label_ratio: float = 5.0,
        prior_temperature: float = 3.0,
    ) -> None:
        super().__init__()
        if not 0 < label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in (0, 1), got {label_smoothing}")
        self.n_grades = n_grades
        self.temperature = temperature
        self.sharpening = sharpening
        self.label_smoothing = label_smoothing
        self.label_ratio = label_ratio
        self.prior_temperature = prior_temperature
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: embeddings of two views, shape (2, N, H, D).
            target: ``"severity"``, integers of shape (N,), negative when ungraded.

        Raises:
            ValueError: when fewer than two images of the batch are graded.
        """
        views = gather_views(input)[:, :, CONTRAST]
        severity = gather_with_gradient(target["severity"])
        if int((severity >= 0).sum()) < 2:
            raise ValueError(
                f"RopawsLoss: {int((severity >= 0).sum())} of {len(severity)} images in the batch are graded, at least "
                "2 are needed, one to be compared with another; lower unlabelled_fraction or raise batch_size"
            )
        image = torch.arange(len(severity), device=severity.device).repeat(2)
        rows, grade = views.flatten(0, 1), severity.repeat(2)
        cosine = cosine_similarity_matrix(rows, rows).masked_fill(image[:, None] == image, -torch.inf)
        label_logits = self._label_logits(cosine, grade)
        prediction = label_logits.softmax(dim=1) @ self._labels(grade).to(cosine)
        wanted, inside = self._posterior(cosine.detach(), label_logits.detach(), grade)
        wanted = sharpened(wanted, self.sharpening).roll(len(severity), 0)  # that of the other view
        disagreement = -(wanted * prediction.log()).sum(dim=1)
        agreement = (inside.unflatten(0, (2, -1)).mean(dim=0).repeat(2) * disagreement).mean()
        mean = sharpened(prediction, self.sharpening).mean(dim=0)
        mean_entropy = torch.special.entr(mean).sum()
        self.terms = {
            "agreement": agreement.detach(),
            "mean_entropy": mean_entropy.detach(),
            "in_domain": inside.mean(),
        }
        return agreement - mean_entropy

    def _labels(self, grade: Tensor) -> Tensor:
        """q: smoothed labels of the graded rows, shape (L, K)."""
        return F.one_hot(grade[grade >= 0], self.n_grades) * (1 - self.label_smoothing) + (
            self.label_smoothing / self.n_grades
        )

    def _label_logits(self, cosine: Tensor, grade: Tensor) -> Tensor:
        """log of k^L, shape (X, L)."""
        similar, grade = cosine[:, grade >= 0], grade[grade >= 0]
        labels = F.one_hot(grade, self.n_grades).to(cosine)
        counts = similar.isfinite().to(cosine) @ labels
        return (
            similar / self.temperature
            - counts[:, grade].clamp_min(1).log()
            - (counts > 0).sum(dim=1, keepdim=True).to(cosine).log()
        )

    def _posterior(self, cosine: Tensor, label_logits: Tensor, grade: Tensor) -> tuple[Tensor, Tensor]:
        """t, shape (X, K), and m, shape (X,). Solved in float64, since rows of B may sum to nearly 1."""
        ungraded = grade < 0
        others = cosine[:, ungraded]
        n_others = others.isfinite().sum(dim=1, keepdim=True).clamp_min(1).to(cosine)
        logits = [label_logits + math.log(self.label_ratio), others / self.temperature - n_others.log()]
        nearest = cosine[:, ~ungraded].amax(dim=1)
        prior = torch.where(ungraded, ((nearest - 1) / self.prior_temperature).exp(), 1.0)
        shares = prior[:, None].double() * torch.cat(logits, dim=1).double().softmax(dim=1)
        of_labels, of_others = shares.split([label_logits.shape[1], others.shape[1]], dim=1)
        known = of_labels @ self._labels(grade).double()
        identity = torch.eye(others.shape[1], dtype=shares.dtype, device=shares.device)
        joint = known + of_others @ torch.linalg.solve(identity - of_others[ungraded], known[ungraded])
        inside = joint.sum(dim=1, keepdim=True)
        return (joint + (1 - inside) / self.n_grades).to(cosine), inside.squeeze(1).to(cosine)
