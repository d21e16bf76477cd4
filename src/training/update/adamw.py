"""AdamW: Adam with a weight decay that does not pass through the gradient.

Every rule has this decoupled decay, `weight_decay`; so this is Adam, and conf/optim/adamw.yaml sets a default decay.
Source: I. Loshchilov, F. Hutter, "Decoupled weight decay regularization" (2019), and torch.optim.AdamW.
"""

from src.training.update.adam import Adam


class AdamW(Adam):
    """The rule Adam under the name adamw."""

    name = "adamw"


RULE = AdamW
