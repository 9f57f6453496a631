"""Models of toy size, with weights."""

import torch

from llmsim.testing import toy_model
from llmsim_torch.weights import random_model


def made(family="llama"):
    return random_model(toy_model(family), torch.device("cpu"), torch.float32, seed=0)
