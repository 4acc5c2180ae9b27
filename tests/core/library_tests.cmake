# SPDX-License-Identifier: Apache-2.0
# library_tests(NAME LIBRARY...): the C++ tests of the current folder, NAME_tests, with the sources of
# these libraries of tflm_app/lib and between the simulated wires of this folder.
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
option(SANITIZE "AddressSanitizer and UndefinedBehaviorSanitizer" ON)
set(CORE_TESTS ${CMAKE_CURRENT_LIST_DIR})
set(LIBRARIES ${CMAKE_CURRENT_LIST_DIR}/../../tflm_app/lib)

function(library_tests NAME)
  file(GLOB SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cc)
  foreach(LIBRARY ${ARGN})
    file(GLOB OF_LIBRARY CONFIGURE_DEPENDS ${LIBRARIES}/${LIBRARY}/src/*.cc)
    list(APPEND SOURCES ${OF_LIBRARY})
    list(APPEND INCLUDES ${LIBRARIES}/${LIBRARY}/include)
  endforeach()
  list(FILTER SOURCES EXCLUDE REGEX split_core_c)
  set(PROGRAM ${NAME}_tests)
  add_executable(${PROGRAM} ${CORE_TESTS}/main.cc ${CORE_TESTS}/sim.cc ${SOURCES})
  target_include_directories(${PROGRAM} PRIVATE ${CORE_TESTS} ${INCLUDES})
  target_compile_options(${PROGRAM} PRIVATE -O1 -g -Wall -Wextra -Wshadow -Wconversion -Werror
    -fno-exceptions -fno-rtti)
  if(SANITIZE)
    target_compile_options(${PROGRAM} PRIVATE
      -fsanitize=address,undefined -fno-sanitize-recover=all)
    target_link_options(${PROGRAM} PRIVATE -fsanitize=address,undefined)
  endif()
  # One translation unit: a third of the time to build.
  set_target_properties(${PROGRAM} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 60)
endfunction()
