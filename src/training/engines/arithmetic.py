"""torch's settings for the precision of matrix products on CUDA."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def cuda_arithmetic(precision: int | str) -> Iterator[None]:
    """A context with the settings for `precision` (32, "tf32" or "bf16"); the previous ones come back at its end."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    # Mini-batches keep their sizes, so it pays to let cuDNN measure its algorithms at the first one.
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = *[precision == "tf32"] * 2, True
    # Without autocast's cache, which would keep the converted weights of every step until the chunk ends.
    bf16 = torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16", cache_enabled=False)
    try:
        with bf16:
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before
