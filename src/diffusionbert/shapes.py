"""Array types that carry their shapes: checked in tests (jaxtyping + beartype), plain annotations elsewhere.

jaxtyping is a test dependency only. Where it is absent, or not asked for, every alias subscripts to itself, so
that the library imports on a machine that has torch, transformers and numpy alone.

Letters used in shapes throughout the project:
B batch of sentences, L sequence length, M masked positions of a batch (row-major), V vocabulary, K evaluation steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a type checker reads Float[Tensor, "B L"] as Tensor, as jaxtyping itself arranges
    from typing import Annotated as Bool
    from typing import Annotated as Float
    from typing import Annotated as Int
else:
    try:
        from jaxtyping import Bool, Float, Int
    except ImportError:

        class _Unchecked:
            def __class_getitem__(cls, item):
                return item[0]

        Bool = Float = Int = _Unchecked

__all__ = ["Bool", "Float", "Int"]
