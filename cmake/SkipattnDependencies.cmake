# Libraries of the distribution (or of SKIPATTN_PREFIX, a folder of unpacked packages) and torch from its wheel.
if(DEFINED ENV{SKIPATTN_PREFIX})
  list(PREPEND CMAKE_PREFIX_PATH $ENV{SKIPATTN_PREFIX} $ENV{SKIPATTN_PREFIX}/usr)
endif()

find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(ZLIB REQUIRED)
find_package(LibLZMA REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(TorchWheel REQUIRED)

# torch's wheel carries headers of another fmt; a link of our own puts ours before them in every search.
find_path(fmt_INCLUDE fmt/core.h REQUIRED)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/headers)
file(CREATE_LINK ${fmt_INCLUDE}/fmt ${CMAKE_BINARY_DIR}/headers/fmt SYMBOLIC)
target_include_directories(skipattn_flags BEFORE INTERFACE ${CMAKE_BINARY_DIR}/headers)

# A library that ships no CMake package of its own: header + (optionally) library, as an imported target.
function(skipattn_find_library target header library)
  find_path(${target}_INCLUDE ${header} REQUIRED)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE ${${target}_INCLUDE})
  if(library)
    find_library(${target}_LIBRARY ${library} REQUIRED)
    target_link_libraries(${target} INTERFACE ${${target}_LIBRARY})
  endif()
endfunction()
skipattn_find_library(deps_zstd zstd.h zstd)
skipattn_find_library(deps_tomlplusplus toml++/toml.h "")
skipattn_find_library(deps_xxhash xxhash.h "")
skipattn_find_library(deps_pcre2 pcre2.h pcre2-8)
skipattn_find_library(deps_boost_math boost/math/distributions/students_t.hpp "")

if(SKIPATTN_TESTS)
  find_package(GTest REQUIRED)
endif()
