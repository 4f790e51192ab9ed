# SPDX-License-Identifier: MIT
# Manual pages and completions, printed by the programs from their tables:
#   ${KM_DOCUMENTS_DIR}/kamacached.8, kamacached.bash,
#   kamacache-cli.1, kamacache-cli.bash
# They are left out where the programs cannot run at build time: in a cross
# build without an emulator, and under a sanitizer.
set(KM_DOCUMENTS_DIR ${CMAKE_BINARY_DIR}/documents)
set(KM_DOCUMENTS)

if(KAMA_SANITIZE OR KAMA_FUZZ)
  return()
endif()
if(CMAKE_CROSSCOMPILING AND NOT CMAKE_CROSSCOMPILING_EMULATOR)
  message(STATUS "Manual pages and completions are not made: the programs "
    "cannot run here (CMAKE_CROSSCOMPILING_EMULATOR)")
  return()
endif()
file(MAKE_DIRECTORY ${KM_DOCUMENTS_DIR})

# km_add_document(program form file): what `program --help=form` prints.
# Variables of who builds do not count.
function(km_add_document program form file)
  if(NOT TARGET ${program})
    return()
  endif()
  set(output ${KM_DOCUMENTS_DIR}/${file})
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -E env --unset=KAMACACHE_ENDPOINT
      --unset=KAMACACHE_GROUP --unset=KAMACACHE_TIMEOUT
      $<TARGET_FILE:${program}> --help=${form} > ${output}.new
    COMMAND ${CMAKE_COMMAND} -E rename ${output}.new ${output}
    DEPENDS ${program}
    COMMENT "Writing ${file}"
    VERBATIM)
  set(KM_DOCUMENTS ${KM_DOCUMENTS} ${output} PARENT_SCOPE)
endfunction()

km_add_document(kamacached man kamacached.8)
km_add_document(kamacached completion kamacached.bash)
km_add_document(kamacache-cli man kamacache-cli.1)
km_add_document(kamacache-cli completion kamacache-cli.bash)
add_custom_target(km_documents ALL DEPENDS ${KM_DOCUMENTS})
