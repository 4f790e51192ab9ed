# SPDX-License-Identifier: MIT
# Installed files: headers, libraries, pkg-config files, CMake package, protos,
# documents, manual pages, completions and a systemd unit. Programs and loaders
# are installed where they are built (KamaPrograms, KamaLoaders).
include(CMakePackageConfigHelpers)
if(NOT TARGET kamacache)
  return()
endif()

install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/kamacache
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
install(TARGETS kamacache kamacache_core kamacache_core_static
  EXPORT KamaCacheTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS kamacache_static EXPORT KamaCacheStaticTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(export KamaCacheTargets KamaCacheStaticTargets)
  install(EXPORT ${export} NAMESPACE KamaCache::
    DESTINATION ${KM_INSTALL_PACKAGEDIR})
endforeach()

configure_package_config_file(
  ${CMAKE_SOURCE_DIR}/cmake/KamaCacheConfig.cmake.in
  ${CMAKE_BINARY_DIR}/KamaCacheConfig.cmake
  INSTALL_DESTINATION ${KM_INSTALL_PACKAGEDIR})
write_basic_package_version_file(
  ${CMAKE_BINARY_DIR}/KamaCacheConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_BINARY_DIR}/KamaCacheConfig.cmake
  ${CMAKE_BINARY_DIR}/KamaCacheConfigVersion.cmake
  DESTINATION ${KM_INSTALL_PACKAGEDIR})

# The pkg-config files and the unit are made at install time: `cmake --install
# --prefix` may still change the prefix.
cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_LIBDIR
  BASE_DIRECTORY "\${prefix}" OUTPUT_VARIABLE KM_PC_LIBDIR)
cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_INCLUDEDIR
  BASE_DIRECTORY "\${prefix}" OUTPUT_VARIABLE KM_PC_INCLUDEDIR)
set(KM_PC_PREFIX @CMAKE_INSTALL_PREFIX@)
set(configured)
foreach(pc kamacache kamacache-core)
  configure_file(${CMAKE_SOURCE_DIR}/cmake/${pc}.pc.in
    ${CMAKE_BINARY_DIR}/cmake/${pc}.pc.in @ONLY)
  list(APPEND configured
    ${CMAKE_BINARY_DIR}/cmake/${pc}.pc.in ${KM_INSTALL_PCDIR})
endforeach()
list(APPEND configured ${CMAKE_SOURCE_DIR}/packaging/kamacached.service.in
  ${KM_INSTALL_UNITDIR})
install(CODE "
  set(KM_SCRATCH \"${CMAKE_BINARY_DIR}\")
  set(KM_BINDIR \"${CMAKE_INSTALL_BINDIR}\")
  set(KM_CONFIGURED \"${configured}\")")
install(SCRIPT ${CMAKE_SOURCE_DIR}/cmake/install_configured.cmake)

if(KM_PROTO_FILES)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/proto
    DESTINATION ${KM_INSTALL_DATADIR}
    FILES_MATCHING PATTERN *.proto)
endif()

# -- documents ---------------------------------------------------------------

# The links of README into docs/ work there.
install(FILES
  ${CMAKE_SOURCE_DIR}/LICENSE
  ${CMAKE_SOURCE_DIR}/README.md
  ${CMAKE_SOURCE_DIR}/README.zh-CN.md
  ${CMAKE_SOURCE_DIR}/CHANGELOG.md
  ${CMAKE_SOURCE_DIR}/packaging/kamacached.env
  DESTINATION ${KM_INSTALL_DOCDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs DESTINATION ${KM_INSTALL_DOCDIR}
  FILES_MATCHING PATTERN *.md)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/deploy DESTINATION ${KM_INSTALL_DOCDIR}
  FILES_MATCHING PATTERN *.md PATTERN *.yml PATTERN *.json)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/examples DESTINATION ${KM_INSTALL_DOCDIR}
  FILES_MATCHING PATTERN *.c PATTERN *.cc)

if(KM_DOCUMENTS)
  install(FILES ${KM_DOCUMENTS_DIR}/kamacached.8
    DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
  install(FILES ${KM_DOCUMENTS_DIR}/kamacache-cli.1
    DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  foreach(program kamacached kamacache-cli)
    install(FILES ${KM_DOCUMENTS_DIR}/${program}.bash
      DESTINATION ${KM_INSTALL_COMPLETIONDIR}
      RENAME ${program})
  endforeach()
endif()
