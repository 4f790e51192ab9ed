# SPDX-License-Identifier: MIT
# Headers made at build time, all in ${KM_GENERATED_DIR}:
#   kamacache_build.h  git revision, compiler, features (for --version -v)
#   descriptor_set.h   the FileDescriptorSet that gRPC reflection serves
set(KM_GENERATED_DIR ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${KM_GENERATED_DIR})

file(RELATIVE_PATH loader_dir_relative ${CMAKE_INSTALL_FULL_BINDIR}
  ${CMAKE_INSTALL_FULL_LIBDIR}/kamacache/loaders)

# Runs on each build (its output never exists) and leaves the header untouched
# when nothing in it changed; as a byproduct it then rebuilds nothing.
add_custom_command(
  OUTPUT km_build_info_always
  BYPRODUCTS ${KM_GENERATED_DIR}/kamacache_build.h
  COMMAND ${CMAKE_COMMAND}
    -D OUT=${KM_GENERATED_DIR}/kamacache_build.h
    -D IN=${CMAKE_SOURCE_DIR}/cmake/kamacache_build.h.in
    -D SOURCE_DIR=${CMAKE_SOURCE_DIR}
    -D VERSION=${PROJECT_VERSION}
    -D "COMPILER=${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}"
    -D "BUILD_TYPE=${CMAKE_BUILD_TYPE}"
    -D "SANITIZE=${KAMA_SANITIZE}"
    -D LOADER_DIR=${CMAKE_INSTALL_FULL_LIBDIR}/kamacache/loaders
    -D LOADER_DIR_RELATIVE=${loader_dir_relative}
    -P ${CMAKE_SOURCE_DIR}/cmake/build_info.cmake
  COMMENT "Checking kamacache_build.h"
  VERBATIM)
set_source_files_properties(km_build_info_always PROPERTIES SYMBOLIC ON)
add_custom_target(km_build_info DEPENDS km_build_info_always)
add_custom_target(km_generated DEPENDS km_build_info)

file(GLOB_RECURSE KM_PROTO_FILES CONFIGURE_DEPENDS
  RELATIVE ${CMAKE_SOURCE_DIR}/proto ${CMAKE_SOURCE_DIR}/proto/*.proto)
if(KM_PROTO_FILES)
  if(NOT KM_PROTOC OR NOT KM_GRPC_PROTO_DIR)
    message(FATAL_ERROR "protoc and the grpc-proto files are needed for the "
      "reflection service (Debian: protobuf-compiler, grpc-proto)")
  endif()
  set(grpc_protos
    grpc/health/v1/health.proto
    grpc/reflection/v1/reflection.proto
    grpc/reflection/v1alpha/reflection.proto)
  set(proto_depends ${KM_PROTO_FILES})
  list(TRANSFORM proto_depends PREPEND ${CMAKE_SOURCE_DIR}/proto/)
  add_custom_command(
    OUTPUT ${KM_GENERATED_DIR}/descriptor_set.h
    COMMAND ${KM_PROTOC} -I ${CMAKE_SOURCE_DIR}/proto -I ${KM_GRPC_PROTO_DIR}
      --include_imports
      --descriptor_set_out=${KM_GENERATED_DIR}/descriptor_set.bin
      ${KM_PROTO_FILES} ${grpc_protos}
    COMMAND ${KAMA_PYTHON} ${CMAKE_SOURCE_DIR}/tools/embed.py
      --name km_descriptor_set ${KM_GENERATED_DIR}/descriptor_set.bin
      ${KM_GENERATED_DIR}/descriptor_set.h
    BYPRODUCTS ${KM_GENERATED_DIR}/descriptor_set.bin
    DEPENDS ${proto_depends} ${CMAKE_SOURCE_DIR}/tools/embed.py
    COMMENT "Generating descriptor_set.h"
    VERBATIM)
  add_custom_target(km_descriptors
    DEPENDS ${KM_GENERATED_DIR}/descriptor_set.h)
  add_dependencies(km_generated km_descriptors)
endif()
