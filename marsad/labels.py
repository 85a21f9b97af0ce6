"""Entity types, their IOB2 tags and the tags' ids.

Type order is the config's; the tag ids follow from it: ``O`` is 0, then ``B-X``, ``I-X`` for each type.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelSet:
    """The entity types of a project, in order.

    Raises ValueError when there are none, one stands twice, or a name holds whitespace or begins or ends
    with a hyphen, which the tags could not tell from their own (``B-X``).
    """

    types: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.types:
            raise ValueError("the label set is empty, expected at least one entity type")
        if len(set(self.types)) != len(self.types):
            raise ValueError(f"an entity type stands twice in {list(self.types)}")
        for name in self.types:
            if not name or name.split() != [name]:
                raise ValueError(f"entity type {name!r} is empty or holds whitespace")
            if name == "O":
                raise ValueError("entity type 'O' is the tag of words outside all entities; choose another name")
            if name.strip("-") != name:
                raise ValueError(f"entity type {name!r} begins or ends with a hyphen")

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """``("O", "B-ACTOR", "I-ACTOR", …)``; a tag's id is its place here."""
        return ("O", *(f"{prefix}-{name}" for name in self.types for prefix in "BI"))

    def begin(self, type_index: int) -> int:
        """Id of ``B-`` of the type; the id of its ``I-`` is one more."""
        return 1 + 2 * type_index

    @cached_property
    def transitions(self) -> NDArray[np.bool_]:
        """[tags, tags]: whether the second tag may follow the first under IOB2.

        ``I-X`` may follow ``B-X`` and ``I-X`` alone; everything else is free.
        """
        allowed = np.ones((len(self.tags), len(self.tags)), dtype=np.bool_)
        for index in range(len(self.types)):
            begin = self.begin(index)
            allowed[:, begin + 1] = False
            allowed[[begin, begin + 1], begin + 1] = True
        return allowed

    @cached_property
    def starts(self) -> NDArray[np.bool_]:
        """[tags]: whether a sequence may start with the tag (any but ``I-``)."""
        return np.array([not tag.startswith("I-") for tag in self.tags])
