/* SPDX-License-Identifier: MIT */
#include "chart.h"

#include "base/assert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A chart and the plot in it, in pixels. */
#define CHART_WIDTH 460
#define CHART_HEIGHT 380
#define PLOT_LEFT 62
#define PLOT_TOP 36
#define PLOT_WIDTH 300
#define PLOT_HEIGHT 280
#define COLOURS 8u
#define TICKS_MAX 6

struct bench_picture {
    FILE *f;
    unsigned charts; /* drawn so far */
};

/* A line of numbers from which pixels are computed. */
struct axis {
    double from, to;
    enum bench_scale scale;
    double pixel, length; /* where it begins, and how far it goes */
};

/* Colours that people with any kind of sight can tell apart (Okabe and Ito). */
static const char *const colours[COLOURS] = {"#0072b2", "#d55e00", "#009e73",
                                             "#cc79a7", "#56b4e9", "#e69f00",
                                             "#000000", "#999999"};

struct bench_picture *bench_picture_open(const char *path, unsigned charts)
{
    FILE *f = fopen(path, "w");
    if (f == NULL) {
        return NULL;
    }
    struct bench_picture *picture = calloc(1, sizeof *picture);
    KM_ASSERT(picture != NULL);
    picture->f = f;
    (void)fprintf(f,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" "
                  "height=\"%d\" font-family=\"sans-serif\" "
                  "font-size=\"12\">\n"
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                  charts * CHART_WIDTH, CHART_HEIGHT);
    return picture;
}

bool bench_picture_close(struct bench_picture *picture)
{
    (void)fprintf(picture->f, "</svg>\n");
    bool failed = ferror(picture->f) != 0;
    failed |= fclose(picture->f) != 0;
    free(picture);
    return !failed;
}

/* -- axes ---------------------------------------------------------------------- */

static double place(const struct axis *axis, double value)
{
    double part = axis->scale == BENCH_LOG
                      ? log(value / axis->from) / log(axis->to / axis->from)
                      : (value - axis->from) / (axis->to - axis->from);
    return axis->pixel + part * axis->length;
}

static void include(struct axis *axis, double value)
{
    axis->from = value < axis->from ? value : axis->from;
    axis->to = value > axis->to ? value : axis->to;
}

/* Whole powers of ten, so that the ticks have short numbers. */
static void round_log(struct axis *axis)
{
    axis->from = pow(10, floor(log10(axis->from) + 1e-9));
    axis->to = pow(10, ceil(log10(axis->to) - 1e-9));
    if (axis->to <= axis->from) {
        axis->to = axis->from * 10;
    }
}

/* The step between the ticks of a linear axis: 1, 2 or 5 times a power of
 * ten. */
static double linear_step(const struct axis *axis)
{
    double step = pow(10, floor(log10((axis->to - axis->from) / TICKS_MAX)));
    static const double factors[] = {1, 2, 5, 10};
    unsigned i = 0;
    while (i < 3 && (axis->to - axis->from) / (step * factors[i]) > TICKS_MAX) {
        i++;
    }
    return step * factors[i];
}

static void round_linear(struct axis *axis)
{
    axis->from = axis->from > 0 ? 0 : axis->from;
    axis->to = axis->to > axis->from ? axis->to : axis->from + 1;
    double step = linear_step(axis);
    axis->from = floor(axis->from / step) * step;
    axis->to = ceil(axis->to / step) * step;
}

static struct axis axis_of(const struct bench_chart *chart, bool of_x)
{
    struct axis axis = {.from = HUGE_VAL,
                        .to = -HUGE_VAL,
                        .scale = of_x ? BENCH_LOG : chart->y_scale};
    for (unsigned i = 0; i < chart->series_count; i++) {
        const struct bench_series *series = &chart->series[i];
        for (unsigned n = 0; n < series->count; n++) {
            include(&axis, of_x ? series->points[n].x : series->points[n].y);
        }
    }
    if (axis.scale == BENCH_LOG) {
        round_log(&axis);
    } else {
        round_linear(&axis);
    }
    return axis;
}

/* -- drawing --------------------------------------------------------------------- */

/* Writes 1000000 as 1 M. */
static void write_number(char *buf, size_t cap, double value)
{
    if (value >= 1e6) {
        (void)snprintf(buf, cap, "%g M", value / 1e6);
    } else if (value >= 1e4) {
        (void)snprintf(buf, cap, "%g k", value / 1e3);
    } else {
        (void)snprintf(buf, cap, "%g", value);
    }
}

static void draw_x_tick(FILE *f, const struct axis *x, double value)
{
    char number[32];
    double at = place(x, value);
    write_number(number, sizeof number, value);
    (void)fprintf(
        f,
        "<path d=\"M%.1f %dv%d\" stroke=\"#ddd\"/>"
        "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
        at, PLOT_TOP, PLOT_HEIGHT, at, PLOT_TOP + PLOT_HEIGHT + 18, number);
}

static void draw_y_tick(FILE *f, const struct axis *y, double value)
{
    char number[32];
    double at = place(y, value);
    write_number(number, sizeof number, value);
    (void)fprintf(f,
                  "<path d=\"M%d %.1fh%d\" stroke=\"#ddd\"/>"
                  "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                  PLOT_LEFT, at, PLOT_WIDTH, PLOT_LEFT - 6, at + 4, number);
}

static void draw_ticks(FILE *f, const struct axis *axis,
                       void (*draw)(FILE *f, const struct axis *axis,
                                    double value))
{
    double step = axis->scale == BENCH_LOG ? 10 : linear_step(axis);
    double value = axis->from;
    while (value <= axis->to * (1 + 1e-9)) {
        draw(f, axis, value);
        value = axis->scale == BENCH_LOG ? value * step : value + step;
    }
}

static void draw_series(FILE *f, const struct bench_series *series,
                        const struct axis *x, const struct axis *y)
{
    if (series->count == 0) {
        return;
    }
    (void)fprintf(f,
                  "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s "
                  "points=\"",
                  colours[series->colour % COLOURS],
                  series->stroke == BENCH_DASHED ? " stroke-dasharray=\"5 4\""
                                                 : "");
    for (unsigned i = 0; i < series->count; i++) {
        (void)fprintf(f, "%.1f,%.1f ", place(x, series->points[i].x),
                      place(y, series->points[i].y));
    }
    (void)fprintf(f, "\"/>\n");
    for (unsigned i = 0; i < series->count; i++) {
        (void)fprintf(f,
                      "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" "
                      "fill=\"%s\"/>\n",
                      place(x, series->points[i].x),
                      place(y, series->points[i].y),
                      colours[series->colour % COLOURS]);
    }
}

static void draw_legend(FILE *f, const struct bench_chart *chart)
{
    int left = PLOT_LEFT + PLOT_WIDTH + 12, top = PLOT_TOP + 8;
    for (unsigned i = 0; i < chart->series_count; i++) {
        const struct bench_series *series = &chart->series[i];
        if (series->stroke == BENCH_SOLID && series->count > 0) {
            (void)fprintf(f,
                          "<path d=\"M%d %dh16\" stroke=\"%s\" "
                          "stroke-width=\"2\"/>"
                          "<text x=\"%d\" y=\"%d\">%s</text>\n",
                          left, top, colours[series->colour % COLOURS],
                          left + 21, top + 4, series->name);
            top += 18;
        }
    }
}

static void draw_names(FILE *f, const struct bench_chart *chart)
{
    int middle = PLOT_LEFT + PLOT_WIDTH / 2;
    int bottom = PLOT_TOP + PLOT_HEIGHT;
    (void)fprintf(f,
                  "<text x=\"%d\" y=\"20\" text-anchor=\"middle\" "
                  "font-weight=\"bold\">%s</text>\n"
                  "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
                  "<text transform=\"translate(16 %d) rotate(-90)\" "
                  "text-anchor=\"middle\">%s</text>\n",
                  middle, chart->title, middle, bottom + 40, chart->x,
                  PLOT_TOP + PLOT_HEIGHT / 2, chart->y);
}

void bench_picture_add(struct bench_picture *picture,
                       const struct bench_chart *chart)
{
    FILE *f = picture->f;
    struct axis x = axis_of(chart, true), y = axis_of(chart, false);
    x.pixel = PLOT_LEFT;
    x.length = PLOT_WIDTH;
    y.pixel = PLOT_TOP + PLOT_HEIGHT;
    y.length = -PLOT_HEIGHT;
    (void)fprintf(f, "<g transform=\"translate(%u 0)\">\n",
                  picture->charts++ * CHART_WIDTH);
    draw_names(f, chart);
    draw_ticks(f, &x, draw_x_tick);
    draw_ticks(f, &y, draw_y_tick);
    for (unsigned i = 0; i < chart->series_count; i++) {
        draw_series(f, &chart->series[i], &x, &y);
    }
    draw_legend(f, chart);
    (void)fprintf(f, "</g>\n");
}
