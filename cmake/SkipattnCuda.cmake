# Kernels for CUDA cards. A module keeps them in cuda/, with cuda/no_cuda.cpp standing in for them:
#   nvcc and a torch that was built for CUDA   they are part of the module
#   nvcc and the CPU build of torch            they are compiled, to see that they do, and no_cuda.cpp is linked
#   no nvcc                                    no_cuda.cpp alone
# Tests run the same kernels in an emulation on the CPU everywhere (src/skipattn/core/cuda/emulation.h).
set(SKIPATTN_CUDA_COMPILES OFF)
set(SKIPATTN_CUDA_LINKS OFF)
if(SKIPATTN_CUDA AND NOT SKIPATTN_WHEEL)
  find_program(SKIPATTN_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin /usr/local/cuda/bin)
  if(SKIPATTN_NVCC)
    # Ampere and Hopper; what comes later takes the code for Hopper.
    if(NOT CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80-real 90 CACHE STRING "Cards to compile for")
    endif()
    set(CMAKE_CUDA_COMPILER ${SKIPATTN_NVCC})
    set(CMAKE_CUDA_STANDARD 17)  # the newest that CMake 3.25 knows how to ask nvcc for
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    set(SKIPATTN_CUDA_COMPILES ON)
    if(TARGET torch::cuda)
      set(SKIPATTN_CUDA_LINKS ON)
    endif()
  elseif(NOT SKIPATTN_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "SKIPATTN_CUDA=${SKIPATTN_CUDA}, but no nvcc was found: install the CUDA toolkit or set CUDA_HOME")
  endif()
endif()

# Flags of the code that sees CUDA's headers. torch's wheel lacks a header that says how it was configured.
function(skipattn_use_cuda target)
  target_include_directories(${target} SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
  target_compile_definitions(${target} PRIVATE C10_CUDA_NO_CMAKE_CONFIGURE_FILE)
endfunction()

# The files in cuda/ of the current module: OUT_FILES all but no_cuda.cpp and tests, OUT_STAND_IN no_cuda.cpp or nothing.
function(skipattn_cuda_files out_files out_stand_in)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*.cu ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*.cpp)
  set(stand_in ${files})
  list(FILTER stand_in INCLUDE REGEX "/no_cuda\\.cpp$")
  list(FILTER files EXCLUDE REGEX "(/no_cuda|_test)\\.cpp$")
  set(${out_files} ${files} PARENT_SCOPE)
  set(${out_stand_in} ${stand_in} PARENT_SCOPE)
endfunction()

# skipattn_emulated_kernels(NAME): a library skipattn_NAME_emulated_cuda of the current module's cuda/ folder as plain C++,
# its functions in namespaces cuda_emulated. Files named *_device.cpp talk to torch's CUDA part and stay out.
function(skipattn_emulated_kernels name)
  skipattn_cuda_files(files stand_in)
  list(FILTER files EXCLUDE REGEX "_device\\.cpp$")
  set(wrappers)
  foreach(file IN LISTS files)
    get_filename_component(base ${file} NAME)
    set(wrapper ${CMAKE_CURRENT_BINARY_DIR}/emulated/${base}.cpp)
    file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"${file}\"\n")
    list(APPEND wrappers ${wrapper})
  endforeach()
  add_library(skipattn_${name}_emulated_cuda STATIC ${wrappers})
  target_compile_definitions(skipattn_${name}_emulated_cuda PRIVATE SKIPATTN_EMULATE_CUDA)
  target_compile_options(skipattn_${name}_emulated_cuda PRIVATE -Wno-unknown-pragmas)  # those for nvcc
  target_link_libraries(skipattn_${name}_emulated_cuda PUBLIC skipattn_${name})
  skipattn_use_torch(skipattn_${name}_emulated_cuda)
endfunction()
