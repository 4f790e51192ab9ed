/* SPDX-License-Identifier: MIT */
/*
 * Line charts in an SVG file, which has everything in it and needs no script.
 *
 *     struct bench_picture *picture = bench_picture_open("a.svg", 3);
 *     struct bench_series series[] = {{"8 B", 0, BENCH_SOLID, points, n}};
 *     bench_picture_add(picture, &(struct bench_chart){
 *         .title = "a hit", .x = "items", .y = "ns", .y_scale = BENCH_LOG,
 *         .series = series, .series_count = 1});
 *     bench_picture_close(picture);
 *
 * The horizontal axis is logarithmic. Charts stand side by side, and series of
 * one colour have one line of the legend.
 *
 * Threads: one. Errors: open returns NULL if the file cannot be written, and
 * close returns false if a part of it was not.
 */
#pragma once

#include <stdbool.h>

struct bench_picture;

struct bench_point {
    double x, y;
};

enum bench_stroke { BENCH_SOLID, BENCH_DASHED };
enum bench_scale { BENCH_LINEAR, BENCH_LOG };

struct bench_series {
    const char *name;
    unsigned colour; /* 0 to 7 */
    enum bench_stroke stroke;
    const struct bench_point *points;
    unsigned count;
};

struct bench_chart {
    const char *title;
    const char *x, *y; /* the names of the axes */
    enum bench_scale y_scale;
    const struct bench_series *series;
    unsigned series_count;
};

/* Begins a picture with room for `charts` charts. */
struct bench_picture *bench_picture_open(const char *path, unsigned charts);
/* Draws the next chart. Series without points are left out. */
void bench_picture_add(struct bench_picture *picture,
                       const struct bench_chart *chart);
/* Writes the end of the file. Returns whether all of it was written. */
bool bench_picture_close(struct bench_picture *picture);
