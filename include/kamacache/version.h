/* SPDX-License-Identifier: MIT */
/* The version of the headers; kama_version() is that of the library. */
#ifndef KAMACACHE_VERSION_H
#define KAMACACHE_VERSION_H

#define KAMA_VERSION_MAJOR 0
#define KAMA_VERSION_MINOR 1
#define KAMA_VERSION_PATCH 0
#define KAMA_VERSION_STRING "0.1.0"

#endif
