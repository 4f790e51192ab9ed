# SPDX-License-Identifier: MIT
# Language level, warnings, hardening and sanitizers, the same for every
# target of the tree.
include(CheckCCompilerFlag)
include(CheckPIESupported)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
check_pie_supported()

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

# POSIX 2008 and the GNU extensions of libc (accept4, pthread_setname_np).
add_compile_definitions(_GNU_SOURCE)

add_compile_options(-Wall -Wextra)
add_compile_options(
  "$<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes;-Wmissing-prototypes>"
  "$<$<COMPILE_LANGUAGE:C>:-Werror=incompatible-pointer-types>"
  "$<$<COMPILE_LANGUAGE:C>:-Werror=int-conversion>")
if(KAMA_WERROR)
  add_compile_options(-Werror)
endif()

# Lock ranks and the costly assertions, in debug and sanitizer builds.
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  add_compile_definitions(KAMA_DEBUG)
endif()

# Assertions print paths relative to the tree, the same on every machine.
add_compile_options(-fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=)

add_compile_options(-fstack-protector-strong)

# The boundary to an application's functions (base/boundary.h) needs them.
add_compile_options(-fasynchronous-unwind-tables)
foreach(flag fstack-clash-protection fcf-protection)
  string(MAKE_C_IDENTIFIER KM_HAVE_${flag} variable)
  check_c_compiler_flag(-${flag} ${variable})
  if(${variable})
    add_compile_options(-${flag})
  endif()
endforeach()
add_link_options(-Wl,-z,relro -Wl,-z,now)

if(KAMA_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "KAMA_FUZZ needs clang")
  endif()
  set(sanitizers fuzzer-no-link,address,undefined)
elseif(KAMA_SANITIZE STREQUAL address)
  set(sanitizers address,undefined)
elseif(KAMA_SANITIZE STREQUAL thread)
  set(sanitizers thread)
elseif(KAMA_SANITIZE)
  message(FATAL_ERROR "KAMA_SANITIZE: '${KAMA_SANITIZE}' is not one of "
    "address, thread")
else()
  set(sanitizers "")
endif()

if(sanitizers)
  add_compile_options(-fsanitize=${sanitizers} -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${sanitizers})
else()
  # clang with ASan does not link under -z defs, and _FORTIFY_SOURCE hides
  # calls from the sanitizers and needs an optimised build.
  add_link_options(-Wl,-z,defs)
  add_compile_options(
    "$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
endif()
