/* SPDX-License-Identifier: MIT */
#include "hex.h"

const char *cli_hex_write(kama_bytes bytes, char *text, size_t cap)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *data = bytes.data;
    size_t n = 0;
    for (size_t i = 0; i < bytes.len && n + 2 < cap; i++) {
        text[n++] = digits[data[i] >> 4];
        text[n++] = digits[data[i] & 15];
    }
    text[n] = '\0';
    return text;
}

bool cli_hex_read(const char *text, uint8_t *bytes, size_t cap, size_t *ret_len)
{
    size_t len = 0;
    for (; *text != '\0' && len < cap; text += 2) {
        int high = cli_hex_digit(text[0]);
        int low = high < 0 ? -1 : cli_hex_digit(text[1]);
        if (low < 0) {
            return false;
        }
        bytes[len++] = (uint8_t)(high << 4 | low);
    }
    *ret_len = len;
    return len > 0 && *text == '\0';
}
