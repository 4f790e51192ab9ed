# SPDX-License-Identifier: MIT
# Script (cmake -P): writes kamacache_build.h when its content changed.
set(GIT_REV unknown)
find_program(GIT git)
if(GIT AND EXISTS ${SOURCE_DIR}/.git)
  execute_process(
    COMMAND ${GIT} -C ${SOURCE_DIR} describe --always --dirty --tags
    OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE
    RESULT_VARIABLE result ERROR_QUIET)
  if(result EQUAL 0 AND described)
    set(GIT_REV ${described})
  endif()
endif()
set(FEATURES "grpc reflection")
if(SANITIZE)
  string(APPEND FEATURES " sanitize=${SANITIZE}")
endif()
configure_file(${IN} ${OUT} @ONLY)
