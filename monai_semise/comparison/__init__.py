# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Labelling by comparison: raters say which of two images is worse, pair by pair.

Answers are stored (:class:`AnswerStore`), an order follows from them (:func:`fit_bradley_terry`), the next pair is the
one whose answer tells most (:func:`informative_pair`), and training reads the rest (:func:`export_pairs`).
"""

from __future__ import annotations

from monai_semise.comparison.agreement import Agreement, rater_agreement
from monai_semise.comparison.answer import OUTCOMES, Answer, check_answer
from monai_semise.comparison.answer_store import AnswerStore, StorageError, read_answers
from monai_semise.comparison.bradley_terry import Posterior, fit_bradley_terry
from monai_semise.comparison.export import export_pairs, pairs_text, preference_pairs
from monai_semise.comparison.implied_preference import ImpliedPreference
from monai_semise.comparison.informative_pair import expected_information, informative_pair
from monai_semise.comparison.session import ComparisonSession, OfferedPair

__all__ = [
    "OUTCOMES",
    "Agreement",
    "Answer",
    "AnswerStore",
    "ComparisonSession",
    "ImpliedPreference",
    "OfferedPair",
    "Posterior",
    "StorageError",
    "check_answer",
    "expected_information",
    "export_pairs",
    "fit_bradley_terry",
    "informative_pair",
    "pairs_text",
    "preference_pairs",
    "rater_agreement",
    "read_answers",
]
