# SPDX-License-Identifier: MIT
# Where the installation puts things beyond what GNUInstallDirs names, and its
# first step, which makes the folders; it has to stand before all other rules of
# installation.
set(KM_INSTALL_LOADERDIR ${CMAKE_INSTALL_LIBDIR}/kamacache/loaders)
set(KM_INSTALL_PACKAGEDIR ${CMAKE_INSTALL_LIBDIR}/cmake/KamaCache)
set(KM_INSTALL_PCDIR ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
# As a package of this name has it.
string(REGEX REPLACE "KamaCache$" "kamacache" KM_INSTALL_DOCDIR
  ${CMAKE_INSTALL_DOCDIR})
set(KM_INSTALL_DATADIR ${CMAKE_INSTALL_DATADIR}/kamacache)
set(KM_INSTALL_COMPLETIONDIR
  ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
# systemd looks there in /usr and in /usr/local.
set(KM_INSTALL_UNITDIR lib/systemd/system)

install(CODE "set(KM_FOLDERS
  \"${CMAKE_INSTALL_BINDIR}\" \"${CMAKE_INSTALL_INCLUDEDIR}\"
  \"${KM_INSTALL_LOADERDIR}\" \"${KM_INSTALL_PACKAGEDIR}\"
  \"${KM_INSTALL_PCDIR}\" \"${KM_INSTALL_DATADIR}\"
  \"${KM_INSTALL_DOCDIR}\" \"${KM_INSTALL_COMPLETIONDIR}\"
  \"${KM_INSTALL_UNITDIR}\"
  \"${CMAKE_INSTALL_MANDIR}/man1\" \"${CMAKE_INSTALL_MANDIR}/man8\")")
install(SCRIPT ${CMAKE_SOURCE_DIR}/cmake/install_folders.cmake)
