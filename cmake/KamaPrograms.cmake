# SPDX-License-Identifier: MIT
# kamacached, kamacache-cli and the loader plug-ins.

# The daemon uses the public headers, and base/ for options and log; the client
# uses the gRPC client half as well.
function(km_add_program folder)
  file(GLOB sources CONFIGURE_DEPENDS
    ${CMAKE_SOURCE_DIR}/src/apps/${folder}/*.c)
  if(NOT sources)
    return()
  endif()
  add_executable(${folder} ${sources})
  target_include_directories(${folder} PRIVATE
    ${CMAKE_SOURCE_DIR}/src/apps/${folder} ${KM_GENERATED_DIR} ${ARGN})
  target_link_libraries(${folder} PRIVATE kamacache_static)
  add_dependencies(${folder} km_generated)
  install(TARGETS ${folder} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

km_add_program(kamacached ${CMAKE_SOURCE_DIR}/src)
km_add_program(kamacache-cli ${CMAKE_SOURCE_DIR}/src)
if(TARGET kamacache-cli)
  target_link_libraries(kamacache-cli PRIVATE PkgConfig::KM_JANSSON)
endif()

# Loader plug-ins: src/loaders/<name>.c or src/loaders/<name>/*.c, each with
# a copy of src/loaders/common/. They include the public headers only and link
# nothing of ours.
set(KM_LOADER_LINKS_sqlite PkgConfig::KM_SQLITE)
set(KM_LOADER_LINKS_http PkgConfig::KM_CURL)

function(km_add_loader name)
  file(GLOB sources CONFIGURE_DEPENDS
    ${CMAKE_SOURCE_DIR}/src/loaders/${name}.c
    ${CMAKE_SOURCE_DIR}/src/loaders/${name}/*.c)
  set(found ON)
  foreach(library IN LISTS KM_LOADER_LINKS_${name})
    if(NOT TARGET ${library})
      set(found OFF)
    endif()
  endforeach()
  string(TOUPPER ${name} upper)
  option(KAMA_LOADER_${upper} "Build the ${name} loader plug-in" ${found})
  if(NOT sources OR NOT KAMA_LOADER_${upper})
    return()
  endif()
  if(NOT found)
    message(FATAL_ERROR "KAMA_LOADER_${upper} is on, but its library "
      "was not found")
  endif()
  file(GLOB common CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/loaders/common/*.c)
  set(target loader_${name})
  add_library(${target} MODULE ${sources} ${common})
  set_target_properties(${target} PROPERTIES
    PREFIX "" OUTPUT_NAME ${name} SUFFIX .so
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/kamacache/loaders)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(${target} PRIVATE
    Threads::Threads ${KM_LOADER_LINKS_${name}})
  install(TARGETS ${target}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/kamacache/loaders)
endfunction()

foreach(loader sqlite http exec)
  km_add_loader(${loader})
endforeach()
