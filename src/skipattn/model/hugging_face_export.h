// Model folders that Transformers opens.
//
// A baseline of a family it knows is what its own classes read. A model with another routing (or with sizes that they
// cannot hold, a GPT-2 with grouped queries) gets two Python files beside the weights
// (python/hugging_face/, compiled into the program) and in config.json an "auto_map" that names them, so that
//   AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
// needs nothing of ours installed. The files build the model from config.json's "skipattn", which says which heads are
// live and who reads them; ours ignores that key and reads such a folder like any other.
#pragma once

#include "skipattn/model/checkpoint.h"

namespace skipattn::model {

/// As save_model(), and what Transformers needs beside it. InputError when no head of the model attends to anything.
void save_for_transformers(const std::filesystem::path& folder, const Decoder& decoder,
                           const std::vector<at::Tensor>& values, const SaveOptions& options = {});

}  // namespace skipattn::model
