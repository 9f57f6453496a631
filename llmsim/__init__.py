"""Which model, on which hardware, should answer which query, so that the energy is least."""

__version__ = "0.1.0"
