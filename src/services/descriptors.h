/* SPDX-License-Identifier: MIT */
/*
 * The FileDescriptorSet that the build makes from the .proto files and embeds:
 * finding the file that defines a name.
 *
 *     kama_bytes file;
 *     km_descriptors_find_symbol(KAMA_STR("kama.v2.Cache.Get"), &file)
 *     file                                  an encoded FileDescriptorProto
 *
 * A symbol is the full name of a service, a method, a message, a field, an enum
 * or a value of an enum.
 *
 * Cost: each search walks the set, which has some 10 KB; a file whose package
 * does not fit the symbol is skipped. Nothing is allocated.
 * Threads: any thread; the set is constant.
 * Errors: none. A set that cannot be decoded is like an empty one.
 * Ownership: files are views of the set, valid for ever.
 */
#pragma once

#include "wire/msg/pb.h"

/* The encoded files of the set. */
struct km_pb_list km_descriptors_files(void);

/* Writes the file that has this name, such as "kama/v2/cache.proto". Returns
 * false if there is none. */
bool km_descriptors_find_name(kama_bytes name, kama_bytes *ret_file);

/* Writes the file that defines the symbol. Returns false if there is none. */
bool km_descriptors_find_symbol(kama_bytes symbol, kama_bytes *ret_file);
