"""What all tests share."""

from hypothesis import settings

# The first example compiles the kernels, which no deadline foresees; the same examples every run.
settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")
