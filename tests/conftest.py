"""Settings of the whole suite."""

from hypothesis import settings

# No deadline for one example: a busy machine must not fail a law that holds.
settings.register_profile("llmsim", deadline=None)
settings.load_profile("llmsim")
