"""Computations over runs: the studies of Wilkins et al., and simulated runs held against measured ones."""
