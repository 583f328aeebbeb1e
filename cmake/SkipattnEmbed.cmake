# skipattn_embed(TARGET NAME files...)
# Compiles text files into TARGET as skipattn::embedded::NAME(), a list of (file name, content); who calls it declares it.
# The files stay what they are in the repository; changing one configures again.
function(skipattn_embed target name)
  set(entries "")
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(file_name ${file} NAME)
    file(READ ${file} content)
    string(APPEND entries "      {\"${file_name}\", R\"embedded(${content})embedded\"},\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp @ONLY CONTENT
"// Written by cmake/SkipattnEmbed.cmake.
#include <string_view>
#include <utility>
#include <vector>

namespace skipattn::embedded {

std::vector<std::pair<std::string_view, std::string_view>> @name@() {
  return {
@entries@  };
}

}  // namespace skipattn::embedded
")
  target_sources(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
endfunction()
