# SPDX-License-Identifier: MIT
# kamacached and kamacache-cli.

# The daemon uses the public headers, base/ for options and log, and admin/; the
# client uses the gRPC client half as well.
function(km_add_program folder)
  file(GLOB sources CONFIGURE_DEPENDS
    ${CMAKE_SOURCE_DIR}/src/apps/${folder}/*.c)
  file(GLOB common CONFIGURE_DEPENDS
    ${CMAKE_SOURCE_DIR}/src/apps/common/*.c)
  if(NOT sources)
    return()
  endif()
  add_executable(${folder} ${sources} ${common})
  target_include_directories(${folder} PRIVATE
    ${CMAKE_SOURCE_DIR}/src/apps/${folder} ${KM_GENERATED_DIR} ${ARGN})
  if(folder STREQUAL kamacached)
    target_link_libraries(${folder} PRIVATE kamacache_admin)
  endif()
  target_link_libraries(${folder} PRIVATE kamacache_static)
  add_dependencies(${folder} km_generated)
  install(TARGETS ${folder} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

km_add_program(kamacached ${CMAKE_SOURCE_DIR}/src)
km_add_program(kamacache-cli ${CMAKE_SOURCE_DIR}/src)
if(TARGET kamacache-cli)
  target_link_libraries(kamacache-cli PRIVATE PkgConfig::KM_JANSSON)
endif()
