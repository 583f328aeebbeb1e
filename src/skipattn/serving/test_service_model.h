// For the tests of this module: a small model without a tokenizer, whose text is its token ids.
#pragma once

#include "skipattn/inference/test_model.h"
#include "skipattn/serving/served_model.h"

namespace skipattn::serving {

inline ServedModel test_served_model() {
  ServedModel model;
  model.name = "small";
  model.vocabulary = inference::kTestVocabulary;
  model.positions = 96;
  return model;
}

}  // namespace skipattn::serving
