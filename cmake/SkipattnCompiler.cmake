# Flags shared by every target, as the interface target skipattn_flags.
add_library(skipattn_flags INTERFACE)
target_compile_options(skipattn_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wno-unused-parameter
  # g++ 12 sees overlapping copies and overflows in correct std::string concatenations (its bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict -Wno-stringop-overflow -Wno-array-bounds>
  $<$<BOOL:${SKIPATTN_WERROR}>:-Werror>>
  $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr --extended-lambda
  $<$<BOOL:${SKIPATTN_WERROR}>:-Werror=all-warnings>>)
target_include_directories(skipattn_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(skipattn_flags INTERFACE SKIPATTN_VERSION="${PROJECT_VERSION}")

if(SKIPATTN_SANITIZE)
  target_compile_options(skipattn_flags INTERFACE -fsanitize=${SKIPATTN_SANITIZE} -fno-omit-frame-pointer -g)
  target_link_options(skipattn_flags INTERFACE -fsanitize=${SKIPATTN_SANITIZE})
endif()

# ccache understands precompiled headers only when told to overlook their time stamps.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE_PROGRAM})
  add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>)
endif()
