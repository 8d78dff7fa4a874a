"""Settings of all tests."""

import pytest
from hypothesis import settings

# No deadline, as the first example compiles the kernels; the same examples every run.
settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")

# Assertions in helpers also report the values compared.
pytest.register_assert_rewrite("command_line", "opened_movies")


@pytest.fixture
def one_thread():
    """Let PyTorch compute in one thread: several wait for each other on a busy machine."""
    import torch  # here, as most tests need none

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
