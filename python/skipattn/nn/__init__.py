"""Building blocks for routed decoders of one's own; gpt.py shows them in use."""
from .attention import RoutedSelfAttention
from .gpt import GPT
from .lending import LentTensors, Reads, reads_of

__all__ = ["GPT", "LentTensors", "Reads", "RoutedSelfAttention", "reads_of"]
