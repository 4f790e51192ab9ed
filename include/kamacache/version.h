/* SPDX-License-Identifier: MIT */
/*
 * The version of the headers that a program is built with. kama_version()
 * returns the version of the library that it runs with, which may be newer.
 */
#ifndef KAMACACHE_VERSION_H
#define KAMACACHE_VERSION_H

#define KAMA_VERSION_MAJOR 0
#define KAMA_VERSION_MINOR 3
#define KAMA_VERSION_PATCH 0
#define KAMA_VERSION_STRING "0.3.0"

#endif
