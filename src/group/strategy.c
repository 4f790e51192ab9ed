/* SPDX-License-Identifier: MIT */
#include "group/strategy.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/status.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define SHARD "shard:"
#define PEERS "peers:"

/* The strategies whose text is a name. */
static const char *const names[] = {[KM_STRATEGY_BROADCAST] = "broadcast",
                                    [KM_STRATEGY_INVALIDATE] = "invalidate",
                                    [KM_STRATEGY_SHARD] = NULL,
                                    [KM_STRATEGY_PEERS] = NULL,
                                    [KM_STRATEGY_OWNER] = "owner",
                                    [KM_STRATEGY_LOCAL] = "local"};

static bool has_addresses(const struct km_strategy *strategy)
{
    return strchr(strategy->targets, ':') != NULL;
}

/* -- parsing ----------------------------------------------------------------- */

static kama_status refuse(const char *text)
{
    char shown[64];
    return km_fail(KAMA_ERR_INVALID,
                   "sync: \"%s\" is none of broadcast, invalidate, shard:R, "
                   "peers:LABEL, peers:ADDR+ADDR, owner and local",
                   km_bytes_quote(kama_bytes_str(text), shown, sizeof shown));
}

static kama_status parse_copies(const char *text, struct km_strategy *strategy)
{
    size_t len = strlen(text);
    unsigned long copies = 0;
    char shown[32];
    if (len > 0 && len <= 3 && strspn(text, "0123456789") == len) {
        copies = strtoul(text, NULL, 10);
    }
    if (copies < 1 || copies > KM_STRATEGY_COPIES_MAX) {
        return km_fail(
            KAMA_ERR_INVALID,
            "sync: shard:%s is no number of copies; it must be 1 to %d",
            km_bytes_quote(kama_bytes_str(text), shown, sizeof shown),
            KM_STRATEGY_COPIES_MAX);
    }
    strategy->copies = (unsigned)copies;
    return KAMA_OK;
}

/* Four numbers with dots between them: an address whose port was forgotten, which would
 * be a label that no node has. */
static bool looks_like_address(const char *label)
{
    size_t dots = 0;
    for (const char *at = label; (at = strchr(at, '.')) != NULL; at++) {
        dots++;
    }
    return dots == 3 && strspn(label, "0123456789.") == strlen(label);
}

static kama_status check_label(const char *label)
{
    kama_bytes rest = kama_bytes_str(label);
    if (rest.len == 0 || rest.len > KM_MEMBER_LABEL_BYTES_MAX) {
        return km_fail(KAMA_ERR_INVALID,
                       "sync: peers: a label has 1 to %d bytes",
                       KM_MEMBER_LABEL_BYTES_MAX);
    }
    if (looks_like_address(label)) {
        return km_fail(KAMA_ERR_INVALID,
                       "sync: peers: address \"%s\": it must end in :PORT",
                       label);
    }
    if (strpbrk(label, "+, ") != NULL) {
        char shown[80];
        return km_fail(KAMA_ERR_INVALID,
                       "sync: \"%s\" is neither one label nor addresses as "
                       "host:port with a plus between them",
                       km_bytes_quote(rest, shown, sizeof shown));
    }
    while (rest.len > 0) {
        size_t n = km_text_shown(rest);
        if (n == 0) {
            return km_fail(KAMA_ERR_INVALID,
                           "sync: peers: the label has a control character or "
                           "is not UTF-8");
        }
        rest = km_bytes_skip(rest, n);
    }
    return KAMA_OK;
}

static kama_status parse_targets(const char *text, struct km_strategy *strategy)
{
    if (strlen(text) > KM_STRATEGY_TARGETS_BYTES_MAX) {
        return km_fail(KAMA_ERR_TOO_LARGE,
                       "sync: peers: the list is longer than %d bytes",
                       KM_STRATEGY_TARGETS_BYTES_MAX);
    }
    (void)km_text_printf(strategy->targets, sizeof strategy->targets, "%s",
                         text);
    return has_addresses(strategy) ? KAMA_OK : check_label(text);
}

kama_status km_strategy_parse(const char *text,
                              struct km_strategy *ret_strategy)
{
    struct km_strategy strategy = {.kind = KM_STRATEGY_BROADCAST};
    kama_status status = KAMA_OK;
    unsigned kind = 0;
    while (kind < sizeof names / sizeof names[0] &&
           (names[kind] == NULL || strcmp(text, names[kind]) != 0)) {
        kind++;
    }
    if (kind < sizeof names / sizeof names[0]) {
        strategy.kind = (enum km_strategy_kind)kind;
    } else if (strncmp(text, SHARD, strlen(SHARD)) == 0) {
        strategy.kind = KM_STRATEGY_SHARD;
        status = parse_copies(text + strlen(SHARD), &strategy);
    } else if (strncmp(text, PEERS, strlen(PEERS)) == 0) {
        strategy.kind = KM_STRATEGY_PEERS;
        status = parse_targets(text + strlen(PEERS), &strategy);
    } else {
        status = refuse(text);
    }
    if (status == KAMA_OK) {
        *ret_strategy = strategy;
    }
    return status;
}

/* -- addresses ---------------------------------------------------------------- */

/* The canonical addresses of a strategy. */
struct addresses {
    unsigned count;
    char texts[KM_STRATEGY_PEERS_MAX][KM_STRATEGY_ADDRESS_BYTES];
};

/* Puts an address into its place in the order, unless it is there already. */
static void insert(struct addresses *all, const char *address)
{
    unsigned at = 0;
    while (at < all->count && strcmp(all->texts[at], address) < 0) {
        at++;
    }
    if (at < all->count && strcmp(all->texts[at], address) == 0) {
        return;
    }
    memmove(all->texts[at + 1], all->texts[at],
            (all->count - at) * sizeof all->texts[0]);
    (void)km_text_printf(all->texts[at], sizeof all->texts[at], "%s", address);
    all->count++;
}

/* Reads the address at `text`, of so many bytes. */
static kama_status read_address(const char *text, size_t len,
                                km_strategy_address_fn address,
                                struct addresses *all)
{
    char given[KM_STRATEGY_ADDRESS_BYTES];
    char canonical[KM_STRATEGY_ADDRESS_BYTES];
    if (all->count == KM_STRATEGY_PEERS_MAX) {
        return km_fail(KAMA_ERR_TOO_LARGE,
                       "sync: peers: there are more than %d addresses",
                       KM_STRATEGY_PEERS_MAX);
    }
    if (len >= sizeof given) {
        return km_fail(KAMA_ERR_INVALID,
                       "sync: peers: an address has %zu bytes, which is too "
                       "long",
                       len);
    }
    memcpy(given, text, len);
    given[len] = '\0';
    kama_status status = address(given, canonical);
    if (status != KAMA_OK) {
        return km_fail(status, "sync: peers: %s", km_last_error());
    }
    insert(all, canonical);
    return KAMA_OK;
}

/* Writes the addresses back. */
static kama_status join(const struct addresses *all,
                        struct km_strategy *strategy)
{
    size_t len = 0;
    for (unsigned i = 0; i < all->count; i++) {
        size_t bytes = strlen(all->texts[i]) + (i > 0);
        if (len + bytes > KM_STRATEGY_TARGETS_BYTES_MAX) {
            return km_fail(KAMA_ERR_TOO_LARGE,
                           "sync: peers: the list is longer than %d bytes",
                           KM_STRATEGY_TARGETS_BYTES_MAX);
        }
        (void)km_text_printf(strategy->targets + len,
                             sizeof strategy->targets - len, "%s%s",
                             i > 0 ? "+" : "", all->texts[i]);
        len += bytes;
    }
    return KAMA_OK;
}

kama_status km_strategy_complete(struct km_strategy *strategy,
                                 km_strategy_address_fn address)
{
    struct addresses all = {.count = 0};
    kama_status status = KAMA_OK;
    if (strategy->kind != KM_STRATEGY_PEERS || !has_addresses(strategy)) {
        return KAMA_OK;
    }
    for (const char *p = strategy->targets; p != NULL && status == KAMA_OK;) {
        const char *plus = strchr(p, '+');
        size_t len = plus != NULL ? (size_t)(plus - p) : strlen(p);
        status = read_address(p, len, address, &all);
        p = plus != NULL ? plus + 1 : NULL;
    }
    return status == KAMA_OK ? join(&all, strategy) : status;
}

/* -- questions ---------------------------------------------------------------- */

const char *km_strategy_format(const struct km_strategy *strategy,
                               char text[KM_STRATEGY_TEXT_BYTES])
{
    if (strategy->kind == KM_STRATEGY_SHARD) {
        (void)km_text_printf(text, KM_STRATEGY_TEXT_BYTES, SHARD "%u",
                             strategy->copies);
    } else if (strategy->kind == KM_STRATEGY_PEERS) {
        (void)km_text_printf(text, KM_STRATEGY_TEXT_BYTES, PEERS "%s",
                             strategy->targets);
    } else {
        (void)km_text_printf(text, KM_STRATEGY_TEXT_BYTES, "%s",
                             names[strategy->kind]);
    }
    return text;
}

bool km_strategy_is_streamed(const struct km_strategy *strategy)
{
    return strategy->kind != KM_STRATEGY_OWNER &&
           strategy->kind != KM_STRATEGY_LOCAL;
}

static bool has_address(const struct km_strategy *strategy, const char *address)
{
    size_t len = strlen(address);
    for (const char *p = strategy->targets; p != NULL;) {
        const char *plus = strchr(p, '+');
        size_t bytes = plus != NULL ? (size_t)(plus - p) : strlen(p);
        if (bytes == len && memcmp(p, address, len) == 0) {
            return true;
        }
        p = plus != NULL ? plus + 1 : NULL;
    }
    return false;
}

bool km_strategy_names(const struct km_strategy *strategy, const char *address,
                       const char *const *labels, size_t label_count)
{
    bool found = false;
    KM_ASSERT(strategy->kind == KM_STRATEGY_PEERS);
    if (has_addresses(strategy)) {
        return has_address(strategy, address);
    }
    for (size_t i = 0; i < label_count && !found; i++) {
        found = strcmp(labels[i], strategy->targets) == 0;
    }
    return found;
}
