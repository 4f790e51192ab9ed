# SPDX-License-Identifier: MIT
# What the library needs, and what turns optional parts on.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(KM_UV REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(KM_NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2>=1.52)
pkg_check_modules(KM_ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(KM_XXHASH REQUIRED IMPORTED_TARGET libxxhash>=0.8)

pkg_check_modules(KM_JANSSON REQUIRED IMPORTED_TARGET jansson>=2.13)

# The daemon alone needs it, for its admin port. It has no file for pkg-config.
find_path(KM_HTTP_PARSER_INCLUDE http_parser.h REQUIRED)
find_library(KM_HTTP_PARSER_LIBRARY http_parser REQUIRED)

pkg_check_modules(KM_CMOCKA IMPORTED_TARGET cmocka)

find_program(KM_PROTOC protoc)
find_path(KM_GRPC_PROTO_DIR grpc/health/v1/health.proto
  PATHS /usr/share/grpc-proto)
