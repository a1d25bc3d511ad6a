# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

import numpy as np

from monai_semise.comparison.agreement import rater_agreement
from monai_semise.comparison.answer import Answer, check_name
from monai_semise.comparison.answer_store import AnswerStore
from monai_semise.comparison.export import export_pairs
from monai_semise.comparison.leases import PairLeases
from monai_semise.comparison.order import ImageOrder
from monai_semise.utils import InputError

__all__ = ["RATES", "ComparisonSession", "OfferedPair", "check_share"]

RATES = ("repeat_rate", "overlap_rate")
"""Arguments of a session that are shares of the pairs which it offers."""

REPEAT_AFTER = 10
"""Answers between a pair and its repetition, so that it is judged anew, not remembered."""
MOST_IMAGES = 2000
"""Images at a time: their covariance, and with it the choice of a pair, grows with the square."""


def check_share(name: str, share: float) -> None:
    """Check a share that someone set.

    Raises:
        InputError: when it is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise InputError(f"{name}: {share} is not a share between 0 and 1")


class OfferedPair(NamedTuple):
    """Two images to compare.

    Example:
        >>> OfferedPair("a.png", "b.png").image_b
        'b.png'
    """

    image_a: str
    """To be shown on the left."""
    image_b: str
    """To be shown on the right."""


class ComparisonSession:
    """Raters compare images in pairs: which pair comes next, what was answered, what follows.

    Most pairs are the most informative that nobody was asked yet; some repeat what the rater, or another rater, has
    answered, to measure agreement. No two raters have one new pair at the same time. Safe for several threads.

    Args:
        store: where answers go. Answers on images that are not of this session stay there, and are not used.
        images: file of each image, by the id that answers name it by; at least 2. Of more than :data:`MOST_IMAGES`, so
            many are compared: first those that have answers, then a draw which stays the same when images are added.
        repeat_rate: share of pairs that the rater answered before.
        overlap_rate: share of pairs that another rater has answered.
        lease_seconds: after which a pair that got no answer is given to others.
        seed: of the draws.

    Raises:
        InputError: when the images are too few, an id is no text for the web, or a share is not one.

    Example:
        >>> import tempfile
        >>> images = {"a": "a.png", "b": "b.png", "c": "c.png"}
        >>> session = ComparisonSession(AnswerStore(f"{tempfile.mkdtemp()}/answers.jsonl"), images)
        >>> pair = session.next_pair("dr x")
        >>> session.next_pair("dr x") == pair  # a reload of the page
        True
        >>> session.answer("7f3a", *pair, outcome="left", rater="dr x", seconds=2.5).outcome
        'left'
        >>> session.ranking()[0]["image"] == pair.image_a
        True
    """

    def __init__(
        self,
        store: AnswerStore,
        images: Mapping[str, str],
        repeat_rate: float = 0.05,
        overlap_rate: float = 0.05,
        lease_seconds: float = 600,
        seed: int = 0,
    ) -> None:
        check_share("repeat_rate", repeat_rate)
        check_share("overlap_rate", overlap_rate)
        self.store = store
        self.repeat_rate = repeat_rate
        self.overlap_rate = overlap_rate
        self._lock = threading.RLock()
        self._leases = PairLeases(lease_seconds)
        self._random = np.random.default_rng(seed)
        self.images: dict[str, str] = {}
        self._given: dict[str, str] = {}
        self.set_images(images)

    def set_images(self, images: Mapping[str, str]) -> None:
        """Compare these images from now on; answers on others stay stored.

        Raises:
            InputError: as at construction.
        """
        if len(images) < 2:
            raise InputError(f"comparison: {len(images)} images; give 2 or more")
        for name in images:
            try:
                name.encode("utf-8")
            except UnicodeEncodeError:
                raise InputError(f"comparison: the image id {name!r} is not UTF-8; rename the file") from None
        with self._lock:
            if images == self._given:
                return
            self._given, chosen = dict(images), self._chosen(images)
            if chosen == self.images:
                return
            self.images = chosen
            self._order = ImageOrder(list(self.images))
            self._order.learn(self.answers)

    def next_pair(self, rater: str) -> OfferedPair | None:
        """The pair that the rater is to compare; the same one until it is answered or its time is over.

        Returns:
            None when the rater has answered every pair.

        Raises:
            InputError: when the rater's name is none.
        """
        check_name(rater, "rater")
        with self._lock:
            lease = self._leases.of(rater)
            if lease is None or not self._known(*lease[:2]):
                pair = self._choose(rater)
                if pair is None:
                    return None
                lease = self._leases.give(rater, *pair)
            return OfferedPair(*lease[:2])

    def answer(self, id: str, image_a: str, image_b: str, outcome: str, rater: str, seconds: float) -> Answer:
        """Store an answer; on return it is on the disk. The same answer sent again changes nothing.

        Raises:
            InputError: when an image is not of this session, the rater has answered the pair and was not offered it
                again, or the answer is none.
            StorageError: when it could not be written.
        """
        with self._lock:
            if not self._known(image_a, image_b):
                unknown = image_a if image_a not in self.images else image_b
                raise InputError(f"image: {unknown!r} is none of the images that are compared")
            answer = Answer(id, image_a, image_b, outcome, rater, _now(), seconds)
            lease = self._leases.of(rater)
            offered = lease is not None and set(lease[:2]) == {image_a, image_b}
            sent_again = id in self.store
            if not (offered or sent_again) and any(
                (one.rater, one.pair) == (rater, answer.pair) for one in self.answers
            ):
                raise InputError("pair: you have answered it already, perhaps in another window")
            if self.store.add(answer):
                if offered:
                    self._leases.end(rater)
                self._order.learn(self.answers)
            return answer

    def undo(self, id: str, rater: str) -> Answer | None:
        """Take back the rater's last answer, and give its pair to them again. Sent again, it changes nothing.

        Returns:
            the answer that was taken back; None when there is none.

        Raises:
            InputError: when the id is that of an answer.
            StorageError: when it could not be written.
        """
        with self._lock:
            if id in self.store:
                return self.store.undone_by(id)
            last = next((answer for answer in reversed(self.answers) if answer.rater == rater), None)
            if last is None:
                return None
            self.store.undo(id, last, _now())
            self._leases.give(rater, last.image_a, last.image_b)
            self._order.learn(self.answers)
            return last

    @property
    def answers(self) -> list[Answer]:
        """Answers on the images of this session that were not taken back, oldest first."""
        with self._lock:
            return [answer for answer in self.store.answers if self._known(*answer.pair)]

    def progress(self, rater: str) -> dict[str, int]:
        """How far the comparison is: answers of the rater, of all, and how many order n images, about n log n; images,
        and those that were left out because there are too many."""
        with self._lock:
            answers = self.answers
            return {
                "answered": sum(answer.rater == rater for answer in answers),
                "answered_by_all": len(answers),
                "expected": round(len(self.images) * math.log2(len(self.images))),
                "images": len(self.images),
                "left_out": len(self._given) - len(self.images),
            }

    def ranking(self) -> list[dict[str, Any]]:
        """The images from most to least severe: ``image``, ``score`` and its standard deviation ``deviation``."""
        with self._lock:
            return self._order.ranking()

    def agreement(self) -> dict[str, Any]:
        """See :func:`monai_semise.comparison.rater_agreement`."""
        return rater_agreement(self.answers)

    def export(self, path: str | os.PathLike) -> int:
        """See :func:`monai_semise.comparison.export_pairs`."""
        return export_pairs(path, self.answers, self.images)

    def close(self) -> None:
        """Close the store."""
        with self._lock:
            self.store.close()

    def _chosen(self, images: Mapping[str, str]) -> dict[str, str]:
        if len(images) <= MOST_IMAGES:
            return dict(images)
        answered = {image for answer in self.store.answers for image in answer.pair}

        def place(image: str) -> tuple[bool, bytes]:
            return image not in answered, hashlib.sha256(image.encode()).digest()

        return {image: images[image] for image in sorted(images, key=place)[:MOST_IMAGES]}

    def _known(self, *images: str) -> bool:
        return all(image in self.images for image in images)

    def _choose(self, rater: str) -> tuple[str, str] | None:
        answers = self.answers
        own = [answer.pair for answer in answers if answer.rater == rater]
        times = Counter(own)
        taken = self._leases.taken_by_others(rater)
        asked = {answer.pair for answer in answers}
        of_others = sorted(asked - set(own) - taken)
        repeatable = sorted({pair for pair in own[:-REPEAT_AFTER] if times[pair] == 1} - taken)
        draw = self._random.random()
        if draw < self.repeat_rate and repeatable:
            return self._shuffled(repeatable[self._random.integers(len(repeatable))])
        if draw >= 1 - self.overlap_rate and of_others:
            return self._shuffled(of_others[self._random.integers(len(of_others))])
        new = self._order.informative_pair(asked | taken, self._random)
        if new is None and of_others:
            return self._shuffled(of_others[self._random.integers(len(of_others))])
        return new

    def _shuffled(self, pair: tuple[str, str]) -> tuple[str, str]:
        return pair if self._random.random() < 0.5 else pair[::-1]


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
