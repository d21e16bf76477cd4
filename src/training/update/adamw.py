"""AdamW: Adam whose decay is decoupled from the gradient, which conf/optim/adamw.yaml switches on.

Decoupled decay, `weight_decay`, is there under every rule, so this is Adam with another default.
Source: I. Loshchilov, F. Hutter, "Decoupled weight decay regularization" (2019), and torch.optim.AdamW.
"""

from src.training.update.adam import Adam


class AdamW(Adam):
    """Adam by another name."""

    name = "adamw"


RULE = AdamW
