"""Settings of the whole suite."""

import os
import tempfile

from hypothesis import settings

# No deadline for one example: a busy machine must not fail a law that holds.
settings.register_profile("llmsim", deadline=None)
settings.load_profile("llmsim")

# Curves are kept for the session alone: the user's own folder is neither read nor written.
os.environ["LLMSIM_CACHE"] = tempfile.mkdtemp(prefix="llmsim-curves-")
