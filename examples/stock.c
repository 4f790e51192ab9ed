/* SPDX-License-Identifier: MIT */
/*
 * The stock of a shop, which several threads sell at the same time: nothing is sold
 * twice. A set with a condition makes each sale one step, without a lock of the
 * program's own. A cache may evict its entries: a shop whose stock does not fit
 * beside other entries, or must survive a restart, keeps it in a database.
 */
#include <kamacache/kamacache.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLERKS = 4, PIECES = 1000 };

struct clerk {
    pthread_t thread;
    kama_group *shop;
    int sold;
    kama_status status;
};

/* Takes a piece off the stock. Returns KAMA_OK, KAMA_MISS when everything was sold,
 * or an error. When another clerk was faster, the number has to be read again. */
static kama_status sell(kama_group *shop)
{
    kama_set_options set;
    kama_set_options_init(&set);
    set.condition = KAMA_SET_IF_MATCH;
    for (;;) {
        kama_value *value;
        char text[16];
        kama_status st = kama_get(shop, KAMA_STR("pieces"), NULL, &value);
        if (st != KAMA_OK) {
            return st;
        }
        kama_bytes b = kama_value_bytes(value);
        (void)snprintf(text, sizeof text, "%.*s", (int)b.len,
                       (const char *)b.data);
        set.if_etag = kama_value_etag(value);
        kama_value_unref(value);
        int left = atoi(text);
        if (left == 0) {
            return KAMA_MISS;
        }
        (void)snprintf(text, sizeof text, "%d", left - 1);
        st = kama_set(shop, KAMA_STR("pieces"), KAMA_STR(text), &set);
        if (st != KAMA_ERR_TRY_AGAIN) {
            return st;
        }
    }
}

static void *work(void *arg)
{
    struct clerk *clerk = arg;
    while ((clerk->status = sell(clerk->shop)) == KAMA_OK) {
        clerk->sold++;
    }
    return NULL;
}

/* Opens the shop, if nobody has done so already. */
static kama_status open_shop(kama_group *shop)
{
    char text[16];
    kama_set_options set;
    kama_set_options_init(&set);
    set.condition = KAMA_SET_IF_ABSENT;
    (void)snprintf(text, sizeof text, "%d", PIECES);
    kama_status st = kama_set(shop, KAMA_STR("pieces"), KAMA_STR(text), &set);
    return st == KAMA_ERR_EXISTS ? KAMA_OK : st;
}

/* Lets the clerks sell everything. Returns how many pieces they have sold. */
static int sell_out(kama_group *shop)
{
    struct clerk clerks[CLERKS];
    int sold = 0;
    for (int i = 0; i < CLERKS; i++) {
        clerks[i].shop = shop;
        clerks[i].sold = 0;
        clerks[i].status = KAMA_OK;
        if (pthread_create(&clerks[i].thread, NULL, work, &clerks[i]) != 0) {
            abort();
        }
    }
    for (int i = 0; i < CLERKS; i++) {
        (void)pthread_join(clerks[i].thread, NULL);
        sold += clerks[i].sold;
        if (clerks[i].status != KAMA_MISS) {
            fprintf(stderr, "a sale: %s\n", kama_strerror(clerks[i].status));
        }
    }
    return sold;
}

int main(void)
{
    kama_group_options opts;
    kama_group *shop;
    kama_group_options_init(&opts);
    opts.name = "shop";
    if (kama_group_new(&opts, &shop) != KAMA_OK) {
        return 1;
    }
    kama_status st = open_shop(shop);
    st = st == KAMA_OK ? open_shop(shop)
                       : st; /* the second one changes nothing */
    int sold = st == KAMA_OK ? sell_out(shop) : 0;
    printf("%d of %d pieces were sold\n", sold, PIECES);
    kama_group_free(shop);
    return sold == PIECES ? 0 : 1;
}
