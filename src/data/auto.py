"""data=auto: MNIST; or scikit-learn's digits if no folder was named and MNIST is neither here nor can be downloaded."""

from dataclasses import replace

from src.config.data import DataConfig
from src.data import mnist
from src.data.dataset import Dataset
from src.data.digits import digits
from src.data.error import UnavailableError


def load(config: DataConfig) -> Dataset:
    """MNIST as data=mnist gives it; else the digits, with a `warning`, cut to the limits where there are more.

    Raises DataError where a named folder does not hold MNIST, or the limits do not fit MNIST.
    """
    try:
        return mnist.load(config)
    except UnavailableError as error:
        warning = (
            "This is NOT MNIST: scikit-learn's 1,797 small digits (8x8, upsampled to 28x28) stand in for it, so no "
            f"accuracy below compares with the chapter's. {error}"
        )
        return replace(digits(config.train, int(config.validation)), warning=warning)
