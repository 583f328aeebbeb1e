# Finds the torch of a Python wheel and offers it as torch::cpu.
# torch's own CMake package refuses a CUDA wheel on a machine without the CUDA toolkit, which is what many people
# have; include folders and two libraries are all that is needed, so that is all this looks for.
#
# pip builds a wheel with the environment's own python, from which it hides what is installed by PYTHONPATH: without that
# variable it finds the environment's torch again. (Python_EXECUTABLE is that python; other tools build in an environment
# of their own, VIRTUAL_ENV is then the user's.)
set(_candidates ${SKIPATTN_TORCH_PYTHON} $ENV{SKIPATTN_TORCH_PYTHON})
if(SKIPATTN_WHEEL)
  list(APPEND _candidates ${Python_EXECUTABLE} $ENV{VIRTUAL_ENV}/bin/python python3)
  set(_hidden --unset=PYTHONPATH --unset=PYTHONNOUSERSITE)
else()
  list(APPEND _candidates ${CMAKE_SOURCE_DIR}/.venv/bin/python python3)
endif()
foreach(_python IN LISTS _candidates)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env ${_hidden} ${_python} -c "import torch; print(torch.__path__[0]); print(torch.__version__); print(int(torch._C._GLIBCXX_USE_CXX11_ABI)); print(torch.version.cuda or 0)"
    OUTPUT_VARIABLE _found RESULT_VARIABLE _status ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(_status EQUAL 0)
    string(REPLACE "\n" ";" _found "${_found}")
    list(GET _found 0 TorchWheel_ROOT)
    list(GET _found 1 TorchWheel_VERSION)
    list(GET _found 2 TorchWheel_CXX11_ABI)
    list(GET _found 3 TorchWheel_CUDA)  # the CUDA version it was built for; 0: the CPU build
    set(TorchWheel_PYTHON ${_python} CACHE INTERNAL "The python that imports this torch")
    break()
  endif()
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TorchWheel
  REQUIRED_VARS TorchWheel_ROOT VERSION_VAR TorchWheel_VERSION
  REASON_FAILURE_MESSAGE "no python here can import torch, scripts/setup.sh installs it into .venv")

if(TorchWheel_FOUND AND NOT TARGET torch::cpu)
  string(REGEX MATCH "^[0-9]+\\.[0-9]+" _short ${TorchWheel_VERSION})
  if(_short VERSION_LESS 2.11)
    message(FATAL_ERROR "torch ${TorchWheel_VERSION} at ${TorchWheel_ROOT} is too old: 2.11 or newer is needed")
  endif()
  add_library(torch::cpu INTERFACE IMPORTED GLOBAL)
  target_include_directories(torch::cpu SYSTEM INTERFACE
    ${TorchWheel_ROOT}/include ${TorchWheel_ROOT}/include/torch/csrc/api/include)
  target_compile_definitions(torch::cpu INTERFACE _GLIBCXX_USE_CXX11_ABI=${TorchWheel_CXX11_ABI})
  # The bare libtorch.so carries no code of the CPU build but pulls in the CUDA part where there is one.
  target_link_libraries(torch::cpu INTERFACE
    ${TorchWheel_ROOT}/lib/libtorch_cpu.so ${TorchWheel_ROOT}/lib/libc10.so OpenMP::OpenMP_CXX Threads::Threads)
  if(NOT SKIPATTN_WHEEL)
    target_link_options(torch::cpu INTERFACE -Wl,-rpath,${TorchWheel_ROOT}/lib)
  endif()
  if(TorchWheel_CUDA)  # libtorch_cpu.so of such a build needs libraries that only the loader has to find
    target_link_options(torch::cpu INTERFACE -Wl,--unresolved-symbols=ignore-in-shared-libs)
  endif()
endif()

# What code for cards needs besides, as torch::cuda.
if(TorchWheel_FOUND AND TorchWheel_CUDA AND NOT TARGET torch::cuda)
  add_library(torch::cuda INTERFACE IMPORTED GLOBAL)
  # What no symbol of ours asks for: libtorch_cuda.so, whose start-up registers torch's own kernels (it finds its libraries
  # itself), and the compiler with which cuDNN makes its attention at run time. cuDNN opens that by its bare name; in Python
  # torch has loaded it before, and without it cuDNN's attention fails.
  file(GLOB _nvrtc ${TorchWheel_ROOT}/../nvidia/*/lib/libnvrtc.so.* ${TorchWheel_ROOT}/../nvidia/*/lib/libnvrtc-builtins.so.*)
  if(NOT _nvrtc)
    file(GLOB _nvrtc $ENV{CUDA_HOME}/lib64/libnvrtc.so.?? /usr/local/cuda/lib64/libnvrtc.so.??)
  endif()
  target_link_libraries(torch::cuda INTERFACE torch::cpu ${TorchWheel_ROOT}/lib/libc10_cuda.so)
  foreach(_library IN LISTS _nvrtc ITEMS ${TorchWheel_ROOT}/lib/libtorch_cuda.so)
    get_filename_component(_folder ${_library} DIRECTORY)
    target_link_libraries(torch::cuda INTERFACE "-Wl,--push-state,--no-as-needed,${_library},--pop-state")
    target_link_options(torch::cuda INTERFACE "-Wl,-rpath,${_folder}")
  endforeach()
endif()
