"""Configurations of exported decoders whose attention heads may read the keys and values of lower layers.

`skipattn` holds all that the model is built from (written by `skipattn convert --format hf`); the other keys are the
model family's usual ones, for those who ask a configuration for its sizes.
"""
from transformers import PretrainedConfig

# Kept out of Transformers' sight, and written back when saving. By the first it would lay a cache out, cutting every
# layer's keys to its own window, also where a reader with a longer window borrows them. The others it would rewrite as
# its version has them; the model takes its rotary frequencies from `skipattn`.
HIDDEN_KEYS = ("sliding_window", "layer_types", "max_window_layers", "use_sliding_window",
               "rope_theta", "rope_scaling", "rope_parameters")


class SkipattnConfig(PretrainedConfig):
    keys_to_ignore_at_inference = ["past_key_values"]

    def __init__(self, skipattn=None, **kwargs):
        self.skipattn = skipattn or {}
        self.hidden_keys = {key: kwargs.pop(key) for key in HIDDEN_KEYS if key in kwargs}
        super().__init__(**kwargs)

    def to_dict(self):
        result = super().to_dict()
        result.update(result.pop("hidden_keys", {}))
        return result

    def to_diff_dict(self):
        # Left out where it is the version's default, which another version, or skipattn, need not share.
        return {**super().to_diff_dict(), "tie_word_embeddings": self.tie_word_embeddings}


# Transformers 5 makes an __init__ for classes without one of their own and forgets an inherited one.
class SkipattnGpt2Config(SkipattnConfig):
    model_type = "skipattn_gpt2"
    attribute_map = {"hidden_size": "n_embd", "max_position_embeddings": "n_positions",
                     "num_attention_heads": "n_head", "num_hidden_layers": "n_layer"}

    def __init__(self, **kwargs):
        super().__init__(**kwargs)


class SkipattnLlamaConfig(SkipattnConfig):
    model_type = "skipattn_llama"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)


class SkipattnMistralConfig(SkipattnConfig):
    model_type = "skipattn_mistral"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)


class SkipattnQwen2Config(SkipattnConfig):
    model_type = "skipattn_qwen2"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)


class SkipattnQwen3Config(SkipattnConfig):
    model_type = "skipattn_qwen3"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
