"""What all tests share: no GPU, one thread (small tensors gain nothing from more), no tracking of real runs."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
