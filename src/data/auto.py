"""data=auto: MNIST, or scikit-learn's digits where MNIST is not to be had; never instead of a folder that was named."""

from dataclasses import replace

from src.config.schema import DataConfig
from src.data import mnist
from src.data.dataset import Dataset
from src.data.digits import digits
from src.data.error import UnavailableError


def load(config: DataConfig) -> Dataset:
    """MNIST as data=mnist gives it; else the digits with a `warning`, as many of those asked for as there are.

    Raises DataError where a named folder is not MNIST's, or limits do not fit.
    """
    try:
        return mnist.load(config)
    except UnavailableError as error:
        warning = (
            "This is NOT MNIST: scikit-learn's 1,797 small digits (8x8, upsampled to 28x28) stand in for it, so no "
            f"accuracy below compares with the chapter's. {error}"
        )
        return replace(digits(config.train, config.validation), warning=warning)
