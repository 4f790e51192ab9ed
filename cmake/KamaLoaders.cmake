# SPDX-License-Identifier: MIT
# Loader plug-ins: src/loaders/<name>.c or src/loaders/<name>/*.c, each with a
# copy of src/loaders/common/. They include the public headers only and link
# nothing of ours.
#
# A loader names the libraries that it needs itself, as pkg-config packages, in
# a comment among the first 20 lines of one of its sources:
#
#     /* pkg-config: libcurl zlib */
#
# KAMA_LOADER_<NAME> turns a loader on or off; without its packages it is off.
# KM_LOADER_LINKS_<name> holds what it links, for its test.
set(KM_LOADERS_SOURCE_DIR ${CMAKE_SOURCE_DIR}/src/loaders)

# km_find_loaders(ret_names): the loaders that have sources.
function(km_find_loaders ret_names)
  file(GLOB sources CONFIGURE_DEPENDS RELATIVE ${KM_LOADERS_SOURCE_DIR}
    ${KM_LOADERS_SOURCE_DIR}/*.c ${KM_LOADERS_SOURCE_DIR}/*/*.c)
  list(TRANSFORM sources REPLACE "([.]c|/.*)$" "")
  list(REMOVE_DUPLICATES sources)
  list(REMOVE_ITEM sources common)
  set(${ret_names} ${sources} PARENT_SCOPE)
endfunction()

# km_loader_packages(ret_packages source...): what the sources ask for.
function(km_loader_packages ret_packages)
  set(packages)
  foreach(source IN LISTS ARGN)
    file(STRINGS ${source} lines LIMIT_COUNT 20 REGEX "pkg-config: ")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE ".*pkg-config: *" "" line "${line}")
      string(REGEX REPLACE " *[*]/.*" "" line "${line}")
      string(REGEX MATCHALL "[^ ]+" words "${line}")
      list(APPEND packages ${words})
    endforeach()
  endforeach()
  set(${ret_packages} ${packages} PARENT_SCOPE)
endfunction()

# km_find_packages(name ret_found package...): the imported targets become
# KM_LOADER_LINKS_<name> of the caller.
function(km_find_packages name ret_found)
  set(found ON)
  set(links)
  foreach(package IN LISTS ARGN)
    string(MAKE_C_IDENTIFIER KM_LOADER_${package} variable)
    pkg_check_modules(${variable} QUIET IMPORTED_TARGET ${package})
    if(${variable}_FOUND)
      list(APPEND links PkgConfig::${variable})
    else()
      set(found OFF)
      message(STATUS "The loader ${name} needs the package ${package}, which "
        "pkg-config does not find")
    endif()
  endforeach()
  set(KM_LOADER_LINKS_${name} ${links} PARENT_SCOPE)
  set(${ret_found} ${found} PARENT_SCOPE)
endfunction()

function(km_add_loader name)
  if(NOT name MATCHES "^[a-z0-9_-]+$")
    message(FATAL_ERROR "src/loaders/${name}: the name of a loader has lower "
      "case letters, digits, - and _")
  endif()
  file(GLOB sources CONFIGURE_DEPENDS
    ${KM_LOADERS_SOURCE_DIR}/${name}.c ${KM_LOADERS_SOURCE_DIR}/${name}/*.c)
  km_loader_packages(packages ${sources})
  km_find_packages(${name} found ${packages})
  set(KM_LOADER_LINKS_${name} ${KM_LOADER_LINKS_${name}} PARENT_SCOPE)
  string(TOUPPER ${name} upper)
  string(MAKE_C_IDENTIFIER KAMA_LOADER_${upper} wanted)
  option(${wanted} "Build the ${name} loader plug-in" ${found})
  if(NOT ${wanted})
    return()
  endif()
  if(NOT found)
    message(FATAL_ERROR "${wanted} is on, but a package that it needs was not "
      "found")
  endif()
  file(GLOB common CONFIGURE_DEPENDS ${KM_LOADERS_SOURCE_DIR}/common/*.c)
  set(target loader_${name})
  add_library(${target} MODULE ${sources} ${common})
  set_target_properties(${target} PROPERTIES
    PREFIX "" OUTPUT_NAME ${name} SUFFIX .so
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/kamacache/loaders)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(${target} PRIVATE
    Threads::Threads ${KM_LOADER_LINKS_${name}})
  install(TARGETS ${target}
    LIBRARY DESTINATION ${KM_INSTALL_LOADERDIR})
endfunction()

km_find_loaders(KM_LOADERS)
foreach(loader IN LISTS KM_LOADERS)
  km_add_loader(${loader})
endforeach()
