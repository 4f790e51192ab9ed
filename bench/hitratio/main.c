/* SPDX-License-Identifier: MIT */
/*
 * The miss ratios of eviction policies, for a trace of a file or one that is
 * generated, and for caches of several sizes.
 *
 *   xz -dc web07.xz | hitratio --trace - --format int32be --objects 1024
 *   hitratio --zipf 0.99 --mix scan --percent 1 --percent 5 --policy s3fifo+
 *   hitratio --trace cdn.txt --format adaptsize --size 16m --json
 *
 *   hitratio --live --zipf 0.99 --size 4m --value 1000 --policy s3fifo+
 *
 * A miss ratio is misses / requests. If keys have sizes, the share of the bytes
 * that were missed stands behind it. docs/EVICTION.md has the tables.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "base/option_argv.h"
#include "base/option_help.h"
#include "base/parse.h"
#include "base/status.h"
#include "generate.h"
#include "live.h"
#include "options.h"
#include "simulate.h"
#include "store/policy.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KM_OPTION_STRUCT struct hr_options
static const struct km_option rows[] = {HR_OPTIONS(KM_OPTION_ROW)};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

#define POLICIES_MAX 64u
#define CACHES_MAX 64u

struct run {
    struct hr_options options;
    struct hr_trace trace;
    uint64_t capacities[CACHES_MAX];
    char names[CACHES_MAX][32];
    size_t cache_count;
    const struct hr_policy *policies[POLICIES_MAX];
    size_t policy_count;
};

/* -- options -------------------------------------------------------------- */

static kama_status read_number(const char *what, const char *text, double low,
                               double high, double *ret)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= low && value <= high)) {
        return km_fail(KAMA_ERR_INVALID, "--%s: %s is not a number in %g..%g",
                       what, text, low, high);
    }
    *ret = value;
    return KAMA_OK;
}

static kama_status generate(struct run *run)
{
    const struct hr_options *o = &run->options;
    struct hr_generate g = {.keys = o->keys,
                            .requests = o->requests,
                            .mix = o->mix,
                            .span = o->span,
                            .seed = o->seed,
                            .with_sizes = o->sizes != 0};
    kama_status status = read_number("zipf", o->zipf, 0, 10, &g.theta);
    return status == KAMA_OK ? hr_generate(&g, &run->trace) : status;
}

static kama_status read_file(struct run *run)
{
    const struct hr_options *o = &run->options;
    bool is_stdin = strcmp(o->trace, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(o->trace, "rb");
    if (file == NULL) {
        return km_fail(KAMA_ERR_INVALID, "cannot read the trace %s: %s",
                       o->trace, strerror(errno));
    }
    kama_status status = hr_trace_read(file, o->format, &run->trace);
    if (!is_stdin) {
        (void)fclose(file);
    }
    return status;
}

static uint64_t all_bytes(const struct hr_trace *trace)
{
    uint64_t sum = 0;
    for (uint32_t key = 0; key < trace->keys; key++) {
        sum += trace->sizes[key];
    }
    return sum;
}

/* Makes every key count as one. */
static void forget_sizes(struct hr_trace *trace)
{
    for (uint32_t key = 0; key < trace->keys; key++) {
        trace->sizes[key] = 1;
    }
    trace->has_sizes = false;
}

static kama_status add_cache(struct run *run, uint64_t capacity,
                             const char *text, const char *unit)
{
    if (run->cache_count == CACHES_MAX) {
        return km_fail(KAMA_ERR_TOO_LARGE, "at most %u caches in one run",
                       CACHES_MAX);
    }
    run->capacities[run->cache_count] = capacity > 0 ? capacity : 1;
    (void)snprintf(run->names[run->cache_count], sizeof run->names[0], "%s%s",
                   text, unit);
    run->cache_count++;
    return KAMA_OK;
}

static kama_status add_objects(struct run *run)
{
    const struct km_option_list *list = &run->options.objects;
    kama_status status = KAMA_OK;
    for (size_t i = 0; i < list->count && status == KAMA_OK; i++) {
        uint64_t capacity = 0;
        status = km_parse_uint(list->items[i], 1, UINT32_MAX, &capacity);
        if (status == KAMA_OK) {
            status = add_cache(run, capacity, list->items[i], "");
        }
    }
    return status;
}

static kama_status add_sizes(struct run *run)
{
    const struct km_option_list *list = &run->options.size;
    kama_status status = KAMA_OK;
    for (size_t i = 0; i < list->count && status == KAMA_OK; i++) {
        uint64_t capacity = 0;
        status = km_parse_bytes(list->items[i], &capacity);
        if (status == KAMA_OK) {
            status = add_cache(run, capacity, list->items[i], "");
        }
    }
    return status;
}

static kama_status add_percents(struct run *run)
{
    const struct km_option_list *list = &run->options.percent;
    double bytes = (double)all_bytes(&run->trace);
    kama_status status = KAMA_OK;
    for (size_t i = 0; i < list->count && status == KAMA_OK; i++) {
        double percent;
        status = read_number("percent", list->items[i], 0, 100, &percent);
        if (status == KAMA_OK) {
            status = add_cache(run, (uint64_t)(bytes * percent / 100),
                               list->items[i], "%");
        }
    }
    return status;
}

static kama_status choose_caches(struct run *run)
{
    const struct hr_options *o = &run->options;
    if (o->size.count > 0 && o->objects.count > 0) {
        return km_fail(KAMA_ERR_INVALID,
                       "--objects and --size cannot be in one run");
    }
    if (o->live && (o->objects.count > 0 || o->percent.count > 0)) {
        return km_fail(KAMA_ERR_INVALID,
                       "--live needs the bounds of its groups "
                       "in bytes; use --size");
    }
    if (o->live) {
        forget_sizes(&run->trace);
    }
    if (o->size.count > 0 && !run->trace.has_sizes && !o->live) {
        return km_fail(KAMA_ERR_INVALID,
                       "--size needs keys with sizes, and these have none; use "
                       "--objects or --percent");
    }
    if (o->objects.count > 0) {
        forget_sizes(&run->trace);
    }
    kama_status status = add_objects(run);
    if (status == KAMA_OK) {
        status = add_sizes(run);
    }
    if (status == KAMA_OK) {
        status = add_percents(run);
    }
    if (status == KAMA_OK && run->cache_count == 0) {
        status = km_fail(KAMA_ERR_INVALID, "no cache was given; use --objects, "
                                           "--size or --percent");
    }
    return status;
}

static kama_status choose_policies(struct run *run)
{
    const struct km_option_list *list = &run->options.policy;
    for (size_t i = 0; list->count == 0 && hr_policy_at(i) != NULL; i++) {
        if (!run->options.live || km_policy_find(hr_policy_at(i)->name)) {
            run->policies[run->policy_count++] = hr_policy_at(i);
        }
    }
    for (size_t i = 0; i < list->count && i < POLICIES_MAX; i++) {
        const struct hr_policy *policy = hr_policy_find(list->items[i]);
        if (policy == NULL) {
            return km_fail(KAMA_ERR_INVALID,
                           "--policy: there is no policy \"%s\"; --list shows "
                           "all",
                           list->items[i]);
        }
        run->policies[run->policy_count++] = policy;
    }
    return KAMA_OK;
}

/* -- output --------------------------------------------------------------- */

static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static struct hr_result simulate(const struct run *run, size_t policy,
                                 size_t cache)
{
    const struct hr_options *o = &run->options;
    const struct hr_engine engine = {.shards = (unsigned)o->shards,
                                     .segments = (uint32_t)o->segments,
                                     .steps = (uint32_t)o->steps,
                                     .frees_segments = o->frees_segments != 0};
    return hr_simulate(&run->trace, run->policies[policy],
                       run->capacities[cache], &engine);
}

static void print_head(const struct run *run)
{
    printf("%" PRIu64 " requests, %u keys, %" PRIu64 "%s\n%-18s",
           run->trace.count, run->trace.keys, all_bytes(&run->trace),
           run->trace.has_sizes ? " bytes; misses (missed bytes)" : " in all",
           "policy");
    for (size_t i = 0; i < run->cache_count; i++) {
        printf(" %*s", run->trace.has_sizes ? 15 : 9, run->names[i]);
    }
    printf("\n");
}

static void print_row(const struct run *run, size_t policy)
{
    printf("%-18s", run->policies[policy]->name);
    for (size_t i = 0; i < run->cache_count; i++) {
        struct hr_result r = simulate(run, policy, i);
        printf("%10.4f", ratio(r.misses, r.requests));
        if (run->trace.has_sizes) {
            printf("(%.2f)", ratio(r.missed_bytes, r.bytes));
        }
    }
    printf("\n");
    (void)fflush(stdout);
}

static void print_json_row(const struct run *run, size_t policy)
{
    for (size_t i = 0; i < run->cache_count; i++) {
        struct hr_result r = simulate(run, policy, i);
        printf("%s\n  {\"policy\": \"%s\", \"cache\": \"%s\", \"capacity\": "
               "%" PRIu64 ", \"requests\": %" PRIu64 ", \"misses\": %" PRIu64
               ", \"bytes\": %" PRIu64 ", \"missed_bytes\": %" PRIu64 "}",
               policy + i > 0 ? "," : "", run->policies[policy]->name,
               run->names[i], run->capacities[i], r.requests, r.misses, r.bytes,
               r.missed_bytes);
    }
}

static void print_json(const struct run *run)
{
    printf("[");
    for (size_t i = 0; i < run->policy_count; i++) {
        print_json_row(run, i);
    }
    printf("\n]\n");
}

static void print_table(const struct run *run)
{
    print_head(run);
    for (size_t i = 0; i < run->policy_count; i++) {
        print_row(run, i);
    }
}

/* -- groups --------------------------------------------------------------- */

static kama_status run_live(const struct run *run, size_t policy, size_t cache,
                            struct hr_live *ret_live)
{
    const struct hr_live_shape shape = {.policy = run->policies[policy]->name,
                                        .max_bytes = run->capacities[cache],
                                        .value_bytes = run->options.value};
    return hr_live_run(&run->trace, &shape, ret_live);
}

static struct hr_result simulate_live(const struct run *run, size_t policy,
                                      const struct hr_live *live)
{
    const struct hr_engine one_queue = {.shards = 1,
                                        .segments =
                                            (uint32_t)run->options.segments,
                                        .steps = (uint32_t)run->options.steps};
    uint64_t keys = live->entries > 0 ? live->entries : run->trace.keys;
    return hr_simulate(&run->trace, run->policies[policy], keys, &one_queue);
}

static void print_live(const struct run *run, size_t policy, size_t cache,
                       const struct hr_live *live)
{
    struct hr_result one = simulate_live(run, policy, live);
    double ours = ratio(live->misses, one.requests);
    double its = ratio(one.misses, one.requests);
    printf("%-18s %9s %9" PRIu64 " %9.4f %9.4f %+8.4f %11.4f\n",
           run->policies[policy]->name, run->names[cache], live->entries, ours,
           its, ours - its, ratio(live->cleared_misses, one.requests));
}

static void print_json_live(const struct run *run, size_t policy, size_t cache,
                            const struct hr_live *live)
{
    struct hr_result one = simulate_live(run, policy, live);
    printf("%s\n  {\"policy\": \"%s\", \"max_bytes\": %" PRIu64
           ", \"entries\": %" PRIu64 ", \"requests\": %" PRIu64
           ", \"misses\": %" PRIu64 ", \"cleared_misses\": %" PRIu64
           ", \"one_queue_misses\": %" PRIu64 "}",
           policy + cache > 0 ? "," : "", run->policies[policy]->name,
           run->capacities[cache], live->entries, one.requests, live->misses,
           live->cleared_misses, one.misses);
}

/* Prints a row for each policy and each size. */
static kama_status print_lives(const struct run *run)
{
    kama_status status = KAMA_OK;
    if (run->options.json) {
        printf("[");
    } else {
        printf("%-18s %9s %9s %9s %9s %8s %11s\n", "policy", "size", "keys",
               "group", "one queue", "more", "after clear");
    }
    for (size_t i = 0; i < run->policy_count && status == KAMA_OK; i++) {
        for (size_t c = 0; c < run->cache_count && status == KAMA_OK; c++) {
            struct hr_live live;
            status = run_live(run, i, c, &live);
            if (status == KAMA_OK && run->options.json) {
                print_json_live(run, i, c, &live);
            } else if (status == KAMA_OK) {
                print_live(run, i, c, &live);
            }
        }
    }
    if (run->options.json) {
        printf("\n]\n");
    }
    return status;
}

static void print_list(void)
{
    for (size_t i = 0; hr_policy_at(i) != NULL; i++) {
        printf("%-18s %s\n", hr_policy_at(i)->name, hr_policy_at(i)->about);
    }
}

static kama_status print_help(const struct km_options *table)
{
    struct km_buf out;
    km_buf_init(&out, NULL, SIZE_MAX);
    kama_status status = km_options_help(table, &out);
    if (status == KAMA_OK) {
        printf("usage: hitratio [--trace FILE | --zipf THETA] [OPTION]...\n\n"
               "%.*s",
               (int)km_buf_bytes(&out).len, (const char *)out.data);
    }
    km_buf_fini(&out);
    return status;
}

/* -- main ----------------------------------------------------------------- */

static kama_status work(struct run *run)
{
    kama_status status =
        run->options.trace[0] != '\0' ? read_file(run) : generate(run);
    if (status != KAMA_OK) {
        return status;
    }
    status = choose_caches(run);
    if (status == KAMA_OK) {
        status = choose_policies(run);
    }
    if (status == KAMA_OK && run->options.live) {
        status = print_lives(run);
    } else if (status == KAMA_OK && run->options.json) {
        print_json(run);
    } else if (status == KAMA_OK) {
        print_table(run);
    }
    hr_trace_free(&run->trace);
    return status;
}

static kama_status begin(struct run *run, int argc, char **argv)
{
    struct km_options table;
    int rest = 0;
    kama_status status =
        km_options_init(&table, rows, ROW_COUNT, &run->options);
    if (status == KAMA_OK) {
        status = km_options_from_argv(&table, argc, argv, &rest);
    }
    if (status == KAMA_OK && rest > 0) {
        status = km_fail(KAMA_ERR_INVALID,
                         "unexpected argument \"%s\"; a "
                         "trace is given by --trace",
                         argv[1]);
    }
    if (status == KAMA_OK && run->options.help) {
        status = print_help(&table);
    } else if (status == KAMA_OK && run->options.list) {
        print_list();
    } else if (status == KAMA_OK) {
        status = work(run);
    }
    km_options_fini(&table);
    return status;
}

int main(int argc, char **argv)
{
    struct run *run = hr_array(1, sizeof *run);
    kama_status status = begin(run, argc, argv);
    if (status != KAMA_OK) {
        (void)fprintf(stderr, "hitratio: %s\n", km_last_error());
    }
    km_mem_free(km_mem_default(), run);
    return status == KAMA_OK ? 0 : 2;
}
