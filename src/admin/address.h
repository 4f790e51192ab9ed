/* SPDX-License-Identifier: MIT */
/*
 * Where the admin port listens.
 *
 *     --listen               --admin      the admin port
 *     127.0.0.1:8001         none given   127.0.0.1:9001
 *     0.0.0.0:8001           none given   127.0.0.1:9001
 *     127.0.0.1:0            none given   127.0.0.1:0, any that is free
 *     127.0.0.1:64536        none given   refused: there is no port 65536
 *     any                    off          none
 *     any                    ADDR         ADDR
 *
 * Threads: setup. Cost: the resolver may be asked. Ownership: nothing is allocated.
 * Errors: KAMA_ERR_INVALID, KAMA_ERR_PERMISSION, with a sentence that begins with
 * the name of the option.
 */
#pragma once

#include "net/address.h"

#define KM_ADMIN_ADDRESS_BYTES (KM_ADDRESS_HOST_BYTES + 10)

struct km_admin_place {
    const char *listen; /* the address of the data port */
    const char *admin;  /* NULL: none was given; "off" */
    uint32_t insecure;  /* 1: other machines may reach the address */
};

/* Writes the address, "" for none. */
KAMA_NODISCARD kama_status km_admin_address(
    const struct km_admin_place *place, char ret_text[KM_ADMIN_ADDRESS_BYTES]);
