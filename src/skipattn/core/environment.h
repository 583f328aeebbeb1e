// Settings that the environment may give, for comparing one way with another.
#pragma once

#include <string_view>

namespace skipattn {

/// Whether the variable is `yes`, or is not set; false for `no`. Throws InputError naming both for anything else.
bool environment_says(const char* variable, std::string_view yes, std::string_view no);

}  // namespace skipattn
