# SPDX-License-Identifier: MIT
# Script of the installation: installs files that name the prefix, which is known
# only now, because `cmake --install --prefix` may change it. KM_CONFIGURED lists
# pairs of a template and a folder; KM_SCRATCH is the build's folder, in which
# each installation works in one of its own, so that two may run at a time.
#   @CMAKE_INSTALL_PREFIX@  the prefix
#   @KM_BINDIR@             the folder of the programs, absolute
cmake_path(ABSOLUTE_PATH KM_BINDIR BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}")
string(RANDOM LENGTH 12 name)
set(scratch "${KM_SCRATCH}/install-${name}")
while(KM_CONFIGURED)
  list(POP_FRONT KM_CONFIGURED template folder)
  cmake_path(GET template STEM LAST_ONLY file)
  cmake_path(ABSOLUTE_PATH folder BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}")
  configure_file("${template}" "${scratch}/${file}" @ONLY)
  file(INSTALL DESTINATION "${folder}" TYPE FILE FILES "${scratch}/${file}")
endwhile()
file(REMOVE_RECURSE "${scratch}")
