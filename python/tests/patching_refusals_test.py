"""What cannot be patched, or not be done with a patched model: one sentence each, and the model stays as it was."""
import copy

import harness

harness.require("torch", "transformers")
import torch
from transformers import BertConfig, BertModel, DynamicCache, GPT2Model, StaticCache

import patching_models as models
import skipattn

SLA = "sla(distance=2, heads=1)"


def refused(model, says, routing=SLA, kind=ValueError, **options):
    before = [(name, parameter) for name, parameter in model.named_parameters()] if isinstance(model, torch.nn.Module) else []
    classes = [type(module) for module in model.modules()] if before else []
    models.fails(lambda: skipattn.patch(model, routing, **options), kind, says)
    assert all(a is b for (_, a), (_, b) in zip(before, model.named_parameters() if before else []))
    assert not before or classes == [type(module) for module in model.modules()]


def test_models(folder):
    llama = models.model_of("llama")
    refused("gpt2", "str is not one of the classes that can be patched, GPT2LMHeadModel", kind=TypeError)
    refused(BertModel(BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=50)),
            "BertModel is not one of the classes")
    refused(GPT2Model(models.CONFIGS["gpt2"]), "GPT2Model is not one of the classes")
    refused(models.patched(llama, SLA), ["has been patched, with sla(distance=2, heads=1", "load it anew"])
    refused(copy.deepcopy(llama).half(), "is float16, and routed attention computes in float32, bfloat16 or float64")
    with torch.device("meta"):
        refused(type(llama)(llama.config), "no weights yet")
    bidirectional = models.model_of("gemma3")
    bidirectional.config.use_bidirectional_attention = True
    refused(bidirectional, "use_bidirectional_attention = True, and routed attention is causal")
    refused(models.model_of("gpt2", add_cross_attention=True), "only decoders alone")
    static = copy.deepcopy(llama)
    static.generation_config.cache_implementation = "static"
    refused(static, "generation_config.cache_implementation is 'static'")


def test_changed_models(folder):
    class Adapted(torch.nn.Linear):
        pass

    adapted = models.model_of("llama")
    adapted.model.layers[1].self_attn.v_proj.__class__ = Adapted
    refused(adapted, ["v_proj of layer 1 is a Adapted", "patch before quantizing"])
    wrapped = models.model_of("llama")
    wrapped.model.layers[2] = torch.nn.Sequential(wrapped.model.layers[2])
    refused(wrapped, "layer 2 is a Sequential, not the LlamaDecoderLayer")
    hooked = models.model_of("llama")
    hooked.model.layers[3].forward = hooked.model.layers[3].forward
    refused(hooked, ["model.layers.3 has had its forward replaced", "patch before that"])


def test_other_versions(folder):
    """A class of the same name that computes something else, or is called in another way."""
    cls = type(models.layers_of(models.model_of("llama"))[0])
    original = cls.forward
    try:
        cls.forward = lambda *arguments, **options: 1.5 * original(*arguments, **options)
        refused(models.model_of("llama"), ["LlamaForCausalLM of Transformers", "something else", "its logits differ"])
    finally:
        cls.forward = original


def test_options(folder):
    llama = models.model_of("llama")
    refused(llama, "lend must be 'keep' or 'average', got 'mean'", lend="mean")
    refused(llama, "must be a text such as", routing=7, kind=TypeError)
    refused(llama, "distance must be 1..3 for a model of 4 layers", routing="sla(distance=9, heads=1)")
    refused(llama, ["for 6 layers of 2 KV heads", "the model has 4 of 2"],
            routing=skipattn.Routing.parse("sla", layers=6, kv_heads=2))
    capped = models.model_of("gemma2", final_logit_softcapping=30.0)
    refused(capped, "final_logit_softcapping = 30.0", fused_loss=True)


def test_calls(folder):
    ids, mask = models.left_padded()
    model = models.patched(models.model_of("llama"), SLA)
    hole = mask.clone()
    hole[0, 7] = 0
    for options, says in (({"output_attentions": True}, "never writes its attention weights down"),
                          ({"attention_mask": torch.ones(2, 1, 24, 24)}, "must be a tensor [batch, tokens so far]"),
                          ({"attention_mask": mask[:, 1:]}, "[batch, tokens so far] = [2, 24], got [2, 23]"),
                          ({"attention_mask": hole}, "row 0 has padding between tokens"),
                          ({"past_key_values": StaticCache(config=model.config, max_cache_len=32)}, "StaticCache of another"),
                          ({"inputs_embeds": torch.zeros(2, 24, 32)}, "exactly one of input_ids and inputs_embeds")):
        models.fails(lambda: model(ids, **options), ValueError, says)
    filled = DynamicCache()
    models.model_of("llama")(ids, past_key_values=filled)
    models.fails(lambda: model(ids[:, :1], past_key_values=filled), ValueError, "DynamicCache filled by another model")
    for kind in ("static", "quantized", "offloaded"):
        models.fails(lambda: model.generate(ids, cache_implementation=kind, max_new_tokens=2), ValueError, "in a cache of its own")
    cache = models.patched(models.model_of("mistral"), SLA)(ids, use_cache=True).past_key_values
    models.fails(lambda: cache.crop(-2), RuntimeError, "activate_past_recording")
    models.fails(lambda: cache.crop(2), ValueError, "must be 0 or less")


def test_folders(folder):
    models.model_of("llama").save_pretrained(folder / "plain")
    models.fails(lambda: skipattn.from_pretrained(folder / "plain"), ValueError, "has no kv_routing in its config.json")
    BertModel(BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=50)
              ).save_pretrained(folder / "bert")
    models.fails(lambda: skipattn.from_pretrained(folder / "bert"), ValueError, "model_type 'bert'; patched models are of gpt2")
    patched = models.patched(models.model_of("gpt2"), SLA)
    patched.config.n_kv_head = 1
    patched.save_pretrained(folder / "mixed")
    models.fails(lambda: skipattn.from_pretrained(folder / "mixed"), ValueError, "has n_kv_head, which no class of Transformers has")


if __name__ == "__main__":
    harness.main(globals())
