# SPDX-License-Identifier: Apache-2.0
# tflsplit's compute operators for an application that has TFLM already:
#
#   include(tflsplit/examples/single_board/tflsplit.cmake)
#   target_link_libraries(my_application PRIVATE tflsplit_operators my_tflm)
#   target_link_libraries(tflsplit_operators PUBLIC my_tflm)   # whose headers it is compiled with
#
# Options: split_device and split_core have the readers of operator options; no link is built in.
set(TFLSPLIT_LIB ${CMAKE_CURRENT_LIST_DIR}/../../tflm_app/lib)

file(GLOB TFLSPLIT_SOURCES CONFIGURE_DEPENDS
  ${TFLSPLIT_LIB}/split_kernels/src/*.cc
  ${TFLSPLIT_LIB}/split_device/src/*.cc
  ${TFLSPLIT_LIB}/split_core/src/*.cc)
list(FILTER TFLSPLIT_SOURCES EXCLUDE REGEX split_core_c)  # a desktop's
foreach(name compute_op chain convolutions dense fused_block op_support unweighted)
  list(APPEND TFLSPLIT_SOURCES ${TFLSPLIT_LIB}/split_tflm/src/${name}.cc)
endforeach()

add_library(tflsplit_operators STATIC ${TFLSPLIT_SOURCES})
target_compile_features(tflsplit_operators PUBLIC cxx_std_17)
foreach(name split_kernels split_device split_core split_tflm)
  target_include_directories(tflsplit_operators PUBLIC ${TFLSPLIT_LIB}/${name}/include)
endforeach()
