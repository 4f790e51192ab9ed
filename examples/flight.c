/* SPDX-License-Identifier: MIT */
/*
 * Single flight without a cache: four threads want the report of one day, and
 * one of them builds it. No call needs a cast, and a wrong type does not
 * compile.
 *
 * All callers receive the same pointer here. A report that counts its
 * references would use KAMA_FLIGHT_DEFINE_REF instead.
 */
#include <kamacache/flight.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define THREADS 4

struct day {
    int year, month, mday;
};

struct report {
    int pages;
};

static uint64_t day_hash(struct day day)
{
    return (uint64_t)day.year * 372 + (uint64_t)day.month * 31 +
           (uint64_t)day.mday;
}

static int day_equal(struct day a, struct day b)
{
    return a.year == b.year && a.month == b.month && a.mday == b.mday;
}

KAMA_FLIGHT_DEFINE(report_flight, struct day, struct report *, day_hash,
                   day_equal)

/* Builds a report. It takes a moment, so that the other threads come in time to
 * wait for it. */
static kama_status build_report(void *arg, struct day day,
                                struct report **ret_report)
{
    int *built = arg;
    struct timespec moment = {0, 200 * 1000 * 1000};
    struct report *report = malloc(sizeof *report);
    if (report == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    (void)nanosleep(&moment, NULL);
    report->pages = day.mday * 2;
    *built += 1;
    *ret_report = report;
    return KAMA_OK;
}

struct reader {
    pthread_t thread;
    struct report_flight *flight;
    int *built;
    kama_status status;
    struct report *report;
    int shared;
};

static void *read_report(void *arg)
{
    struct reader *reader = arg;
    const struct day day = {2024, 5, 17};
    reader->status =
        report_flight_do(reader->flight, day, build_report, reader->built, 5000,
                         &reader->report, &reader->shared);
    return NULL;
}

int main(void)
{
    struct report_flight flight;
    kama_flight_stats stats;
    struct reader readers[THREADS];
    int built = 0;
    int rc = 0;
    kama_status st = report_flight_init(&flight);
    if (st != KAMA_OK) {
        fprintf(stderr, "%s\n", kama_strerror(st));
        return 1;
    }
    for (int i = 0; i < THREADS; i++) {
        struct reader fresh = {0, &flight, &built, KAMA_OK, NULL, 0};
        readers[i] = fresh;
        if (pthread_create(&readers[i].thread, NULL, read_report,
                           &readers[i]) != 0) {
            return 1;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(readers[i].thread, NULL);
        rc |= readers[i].status != KAMA_OK;
    }
    if (rc == 0) {
        report_flight_stats(&flight, &stats);
        printf("%d readers, %d built, %d pages; %llu led, %llu waited\n",
               THREADS, built, readers[0].report->pages,
               (unsigned long long)stats.led,
               (unsigned long long)stats.coalesced);
    }
    for (int i = 0; i < THREADS; i++) {
        int first = 1;
        for (int k = 0; k < i; k++) {
            first = first && readers[k].report != readers[i].report;
        }
        if (first) {
            free(readers[i].report);
        }
    }
    report_flight_fini(&flight);
    return rc;
}
