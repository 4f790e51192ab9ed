# SPDX-License-Identifier: MIT
# Installed files: headers, libraries, pkg-config files, CMake package, protos.
include(CMakePackageConfigHelpers)
if(NOT TARGET kamacache)
  return()
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/KamaCache)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/kamacache
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
install(TARGETS kamacache kamacache_core kamacache_core_static
  EXPORT KamaCacheTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS kamacache_static EXPORT KamaCacheStaticTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(export KamaCacheTargets KamaCacheStaticTargets)
  install(EXPORT ${export} NAMESPACE KamaCache:: DESTINATION ${package_dir})
endforeach()

configure_package_config_file(
  ${CMAKE_SOURCE_DIR}/cmake/KamaCacheConfig.cmake.in
  ${CMAKE_BINARY_DIR}/KamaCacheConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(
  ${CMAKE_BINARY_DIR}/KamaCacheConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_BINARY_DIR}/KamaCacheConfig.cmake
  ${CMAKE_BINARY_DIR}/KamaCacheConfigVersion.cmake
  DESTINATION ${package_dir})

# The pkg-config files are made at install time: `cmake --install --prefix`
# may still change the prefix.
cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_LIBDIR
  BASE_DIRECTORY "\${prefix}" OUTPUT_VARIABLE KM_PC_LIBDIR)
cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_INCLUDEDIR
  BASE_DIRECTORY "\${prefix}" OUTPUT_VARIABLE KM_PC_INCLUDEDIR)
set(KM_PC_PREFIX @CMAKE_INSTALL_PREFIX@)
foreach(pc kamacache kamacache-core)
  configure_file(${CMAKE_SOURCE_DIR}/cmake/${pc}.pc.in
    ${CMAKE_BINARY_DIR}/cmake/${pc}.pc.in @ONLY)
  install(CODE "configure_file(\"${CMAKE_BINARY_DIR}/cmake/${pc}.pc.in\"
    \"${CMAKE_BINARY_DIR}/cmake/${pc}.pc\" @ONLY)")
  install(FILES ${CMAKE_BINARY_DIR}/cmake/${pc}.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

if(KM_PROTO_FILES)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/proto
    DESTINATION ${CMAKE_INSTALL_DATADIR}/kamacache
    FILES_MATCHING PATTERN *.proto)
endif()
