# SPDX-License-Identifier: MIT
# One object library km_<folder> per folder of src/, with the folders inside it,
# and the libraries made of them: kamacache-core (local mode, libc only) and
# kamacache (everything).
set(KM_CORE_FOLDERS base store flight group)
set(KM_NODE_FOLDERS view net wire rpc membership peers sync services node)

# km_add_folder(name): object library of src/<name>/**/*.c; a folder without
# sources is skipped. Appends to `objects_variable` in the caller's scope.
# Further arguments: libraries whose headers the folder includes.
function(km_add_folder folder objects_variable)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS
    ${CMAKE_SOURCE_DIR}/src/${folder}/*.c)
  if(NOT sources)
    return()
  endif()
  set(target km_${folder})
  add_library(${target} OBJECT ${sources})
  target_include_directories(${target} PRIVATE
    ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src ${KM_GENERATED_DIR})
  target_compile_definitions(${target} PRIVATE XXH_INLINE_ALL)
  target_link_libraries(${target} PRIVATE
    Threads::Threads PkgConfig::KM_XXHASH ${ARGN})
  add_dependencies(${target} km_generated)
  set(${objects_variable}
    ${${objects_variable}} $<TARGET_OBJECTS:${target}> PARENT_SCOPE)
endfunction()

set(KM_CORE_OBJECTS)
foreach(folder IN LISTS KM_CORE_FOLDERS)
  km_add_folder(${folder} KM_CORE_OBJECTS)
endforeach()
set(KM_FULL_OBJECTS ${KM_CORE_OBJECTS})
foreach(folder IN LISTS KM_NODE_FOLDERS)
  km_add_folder(${folder} KM_FULL_OBJECTS
    PkgConfig::KM_UV PkgConfig::KM_NGHTTP2 PkgConfig::KM_ZLIB
    PkgConfig::KM_JANSSON)
endforeach()

# The admin port belongs to the daemon, and is part of no library that is
# installed.
km_add_folder(admin KM_ADMIN_OBJECTS
  PkgConfig::KM_UV PkgConfig::KM_NGHTTP2 PkgConfig::KM_JANSSON)
if(KM_ADMIN_OBJECTS)
  target_include_directories(km_admin PRIVATE ${KM_HTTP_PARSER_INCLUDE})
  add_library(kamacache_admin STATIC EXCLUDE_FROM_ALL ${KM_ADMIN_OBJECTS})
  set_target_properties(kamacache_admin PROPERTIES LINKER_LANGUAGE C)
  target_include_directories(kamacache_admin INTERFACE
    ${KM_HTTP_PARSER_INCLUDE})
  target_link_libraries(kamacache_admin INTERFACE
    ${KM_HTTP_PARSER_LIBRARY} PkgConfig::KM_JANSSON)
endif()

# km_add_library(target output objects): lib<output>.so.0 and, as
# <target>_static, lib<output>.a.
function(km_add_library target output export_shared export_static objects)
  add_library(${target} SHARED ${objects})
  add_library(${target}_static STATIC ${objects})
  set_target_properties(${target} ${target}_static PROPERTIES
    OUTPUT_NAME ${output} LINKER_LANGUAGE C)
  set_target_properties(${target} PROPERTIES
    VERSION ${PROJECT_VERSION}
    SOVERSION 0
    EXPORT_NAME ${export_shared}
    LINK_DEPENDS ${CMAKE_SOURCE_DIR}/src/kamacache.map)
  set_target_properties(${target}_static PROPERTIES
    EXPORT_NAME ${export_static})
  target_link_options(${target} PRIVATE
    -Wl,--version-script=${CMAKE_SOURCE_DIR}/src/kamacache.map)
  foreach(library ${target} ${target}_static)
    target_include_directories(${library} PUBLIC
      $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_link_libraries(${library} PRIVATE Threads::Threads)
  endforeach()
endfunction()

if(KM_CORE_OBJECTS)
  km_add_library(kamacache_core kamacache-core core core-static
    "${KM_CORE_OBJECTS}")
  km_add_library(kamacache kamacache kamacache static "${KM_FULL_OBJECTS}")
  foreach(library kamacache kamacache_static)
    target_link_libraries(${library} PRIVATE
      PkgConfig::KM_UV PkgConfig::KM_NGHTTP2 PkgConfig::KM_ZLIB
      PkgConfig::KM_JANSSON)
  endforeach()
endif()
