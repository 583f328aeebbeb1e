// Another routing for a model that has weights already: live heads keep them, dead ones are dropped.
#pragma once

#include <string>
#include <vector>

#include "skipattn/model/decoder.h"

namespace skipattn::model {

/// What a head that others read from now on projects with.
enum class Lend {
  kOwn,   ///< its own weights
  kMean,  ///< the mean of its own and those that its borrowers lose, as multi-head models are made grouped-query ones
          ///< (Ainslie et al. 2023, section 2.1); keys and values apart
};

/// "own" or "mean"; throws InputError naming both.
Lend parse_lend(const std::string& text);

/// A model given another routing.
struct Rerouted {
  Decoder decoder;
  std::vector<std::string> kept;     ///< tensors kept whole or in part
  std::vector<std::string> dropped;  ///< "name: key heads 0-8, value heads 0-8" of every part that nobody reads now
};

/// Gives `source` another routing. InputError when it reads a head that `source` has no weights for.
Rerouted reroute(const Decoder& source, const std::string& routing, Lend lend = Lend::kOwn);

}  // namespace skipattn::model
