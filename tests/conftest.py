"""What all tests share."""

import pytest
from hypothesis import settings

# The first example compiles the kernels, which no deadline foresees; the same examples every run.
settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")

# Assertions in helpers, too, tell what they compared.
pytest.register_assert_rewrite("command_line", "selected_movies")


@pytest.fixture
def one_thread():
    """Let PyTorch compute in one thread, as more wait for each other on a busy machine."""
    import torch  # here, as most tests need none

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
