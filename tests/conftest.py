"""Property tests find the same examples in every run, and none fails for being slow on a busy machine.

`--hypothesis-profile=default` looks for others.
"""

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
