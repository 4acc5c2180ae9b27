# SPDX-License-Identifier: Apache-2.0
"""Frozen operator attributes."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping
from typing import Any

AttrValue = bool | int | float | str | bytes | tuple[Any, ...]


class Attrs(Mapping[str, AttrValue]):
    """An immutable, hashable mapping from snake_case option names to values.

    Options keep the names of the .tflite schema in snake case (``stride_h``,
    ``fused_activation_function``), enums as integers; what no option name fits (an unknown custom
    operator) is kept as ``custom_options`` bytes.
    """

    __slots__ = ("_hash", "_items")

    def __init__(self, items: Mapping[str, AttrValue] | None = None, **more: AttrValue) -> None:
        self._items: dict[str, AttrValue] = {**(items or {}), **more}
        self._hash: int | None = None

    def __getitem__(self, key: str) -> AttrValue:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    # What Mapping would derive from the above, at the speed of a dict: searches ask a lot.

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def items(self) -> ItemsView[str, AttrValue]:
        """Pairs of name and value."""
        return self._items.items()

    def __hash__(self) -> int:
        if self._hash is None:  # searches look device graphs up by their options
            self._hash = hash(tuple(sorted(self._items.items(), key=lambda item: item[0])))
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return Attrs, (self._items,)  # hashes of strings are another process's own

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Attrs) and self._items == other._items

    def __repr__(self) -> str:
        return f"Attrs({', '.join(f'{k}={v!r}' for k, v in self._items.items())})"

    def integer(self, key: str, default: int = 0) -> int:
        """The option as an integer; ``default`` where it is not stored."""
        value = self._items.get(key, default)
        if not isinstance(value, (bool, int)):
            raise TypeError(f"attribute {key} is {value!r}, not an integer")
        return int(value)

    def integers(self, key: str) -> tuple[int, ...]:
        """The option as a tuple of integers; empty where it is not stored."""
        value = self._items.get(key, ())
        if not isinstance(value, tuple):
            raise TypeError(f"attribute {key} is {value!r}, not a tuple")
        return value

    def replace(self, **changes: AttrValue) -> Attrs:
        """A copy with some options changed or added."""
        return Attrs({**self._items, **changes})


class Padding:
    """Values of the ``padding`` option (schema enum Padding)."""

    SAME = 0
    VALID = 1


class Activation:
    """Values of ``fused_activation_function`` (schema enum ActivationFunctionType)."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3
    TANH = 4
    SIGN_BIT = 5
