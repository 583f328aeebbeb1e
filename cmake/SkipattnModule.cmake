# skipattn_module(NAME [TORCH] [WHOLE_ARCHIVE] [DEPENDS modules and libraries...])
# Every folder of src/skipattn is one static library, skipattn_NAME, of all its *.cpp files (for cuda/ see SkipattnCuda), and
# one test program, NAME_test, of its *_test.cpp files. TORCH: may include ATen headers (they are precompiled once, in attention/).
# WHOLE_ARCHIVE: keep objects that only register themselves (torch operators).
function(skipattn_module name)
  cmake_parse_arguments(arg "TORCH;WHOLE_ARCHIVE" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/fused/*.cpp
    ${CMAKE_CURRENT_SOURCE_DIR}/cpu/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/cpu/kernels/*.cpp)
  skipattn_cuda_files(cuda_files cuda_stand_in)
  if(NOT cuda_stand_in OR SKIPATTN_CUDA_LINKS)
    list(APPEND sources ${cuda_files})
  else()
    list(APPEND sources ${cuda_stand_in})
  endif()
  file(GLOB cuda_tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*_test.cpp)
  set(tests ${sources} ${cuda_tests})
  list(FILTER sources EXCLUDE REGEX "_(test|main)\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")

  set(depends)
  foreach(item IN LISTS arg_DEPENDS)
    list(APPEND depends $<IF:$<TARGET_EXISTS:skipattn_${item}>,skipattn_${item},${item}>)
  endforeach()

  if(NOT sources)
    add_library(skipattn_${name} INTERFACE)
    return()
  endif()
  add_library(skipattn_${name}_objects STATIC ${sources})
  target_link_libraries(skipattn_${name}_objects PUBLIC skipattn_flags ${depends})
  add_library(skipattn_${name} INTERFACE)
  if(arg_WHOLE_ARCHIVE)
    target_link_libraries(skipattn_${name} INTERFACE
      $<LINK_LIBRARY:WHOLE_ARCHIVE,skipattn_${name}_objects> skipattn_flags ${depends})
  else()
    target_link_libraries(skipattn_${name} INTERFACE skipattn_${name}_objects)
  endif()
  if(arg_TORCH)
    skipattn_use_torch(skipattn_${name}_objects)
  endif()
  if(cuda_stand_in)
    skipattn_compile_cuda(${name} "${cuda_files}")
  endif()

  if(SKIPATTN_TESTS AND tests)
    skipattn_test(${name}_test SOURCES ${tests} DEPENDS skipattn_${name})
    if(arg_TORCH)
      skipattn_use_torch(${name}_test)
      if(SKIPATTN_CUDA_LINKS)  # torch's operators on a card, also where the module has no kernels for it
        target_link_libraries(${name}_test PRIVATE torch::cuda)
      endif()
    endif()
  endif()
endfunction()

# Kernels for cards: in the module where they can be linked, else by themselves to see that they compile.
function(skipattn_compile_cuda name files)
  if(SKIPATTN_CUDA_LINKS)
    skipattn_use_cuda(skipattn_${name}_objects)
    target_link_libraries(skipattn_${name}_objects PUBLIC torch::cuda CUDA::cudart_static)
  elseif(SKIPATTN_CUDA_COMPILES)
    add_library(skipattn_${name}_cuda_compiles OBJECT ${files})
    target_link_libraries(skipattn_${name}_cuda_compiles PRIVATE skipattn_flags torch::cpu)
    skipattn_use_cuda(skipattn_${name}_cuda_compiles)
  endif()
endfunction()

# skipattn_test(NAME SOURCES files... DEPENDS libraries...): a GoogleTest program run by ctest, one entry a program.
function(skipattn_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES
    FAIL_REGULAR_EXPRESSION "0 tests from 0 test suites ran" WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    ENVIRONMENT "SKIPATTN_SOURCE_DIR=${CMAKE_SOURCE_DIR};SKIPATTN_PYTHON=${TorchWheel_PYTHON}")
endfunction()

# Links torch and shares one precompiled header among all targets that use it.
function(skipattn_use_torch target)
  target_link_libraries(${target} PUBLIC torch::cpu)
  if(NOT TARGET skipattn_torch_pch)
    add_library(skipattn_torch_pch OBJECT ${CMAKE_SOURCE_DIR}/cmake/torch_pch.cpp)
    target_link_libraries(skipattn_torch_pch PUBLIC skipattn_flags torch::cpu)
    target_precompile_headers(skipattn_torch_pch PRIVATE <ATen/ATen.h> <string> <vector> <memory> <map>)
  endif()
  target_precompile_headers(${target} REUSE_FROM skipattn_torch_pch)
  # A precompiled header serves only code built as it was: programs take -fPIC too, in place of -fPIE.
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
endfunction()
