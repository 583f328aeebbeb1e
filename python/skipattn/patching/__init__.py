"""Skip heads for models of Transformers: patch() and what belongs to it. Needs Transformers 5."""
from .cache import RoutedCache
from .folders import from_pretrained
from .patch import patch
from .uptraining import conversion_losses

__all__ = ["RoutedCache", "conversion_losses", "from_pretrained", "patch"]
