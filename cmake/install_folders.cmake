# SPDX-License-Identifier: MIT
# Script of the installation: makes the folders of KM_FOLDERS that do not exist
# yet so that everybody can read them, whatever the umask of who installs. CMake
# itself applies the umask: with 077, which is common for root, nobody else could
# run the programs.
foreach(folder IN LISTS KM_FOLDERS)
  cmake_path(ABSOLUTE_PATH folder BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}")
  set(path "$ENV{DESTDIR}${folder}")
  set(missing)
  while(NOT EXISTS "${path}")
    list(PREPEND missing "${path}")
    cmake_path(GET path PARENT_PATH path)
  endwhile()
  foreach(path IN LISTS missing)
    file(MAKE_DIRECTORY "${path}")
    file(CHMOD "${path}" PERMISSIONS
      OWNER_READ OWNER_WRITE OWNER_EXECUTE
      GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  endforeach()
endforeach()
