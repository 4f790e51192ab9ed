/* SPDX-License-Identifier: MIT */
/* Where the value of an answer came from: the numbers of kama.v2.Source that a
 * node without peers uses. */
#pragma once

enum km_source {
    KM_SOURCE_NONE = 0,   /* there is no answer yet */
    KM_SOURCE_LOCAL = 1,  /* from the memory of this node */
    KM_SOURCE_LOADER = 3, /* from a load that this node has made */
};
