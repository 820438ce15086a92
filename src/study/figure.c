/* study/figure.c – beginning and ending plots. */
#include "study/figure.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void lb_figure_start(lb_figure *f, lb_plot_kind kind, const char *name, const char *title, const char *caption)
{
    memset(f, 0, sizeof *f);
    lb_plot_init(&f->plot, kind);
    snprintf(f->plot.name, sizeof f->plot.name, "%s", name);
    snprintf(f->plot.title, sizeof f->plot.title, "%s", title);
    snprintf(f->caption, sizeof f->caption, "%s", caption);
}

void lb_figure_axis(lb_plot_axis *a, const char *label, lb_scale scale)
{
    snprintf(a->label, sizeof a->label, "%s", label);
    a->scale = scale;
}

void lb_figure_ticks(lb_plot_axis *a, const double *tick, int n)
{
    for (a->n_tick = 0; a->n_tick < n && a->n_tick < LB_PLOT_MAX_TICK; a->n_tick++)
        a->tick[a->n_tick] = tick[a->n_tick];
}

bool lb_figure_end(lb_figure *f, size_t least)
{
    lb_plot *p = &f->plot;
    size_t n = p->n_row;
    lb_buf b = {0};
    for (size_t i = 0; i < p->n_series; i++) n += p->series[i].n;
    if (n < least) {
        lb_plot_free(p);
        return false;
    }
    lb_buf_fmt(&b, "%s.", f->caption);
    for (size_t i = 0; i < p->n_series && b.n < sizeof p->desc; i++)
        for (size_t j = 0; j < p->series[i].n && b.n < sizeof p->desc; j++)
            lb_buf_fmt(&b, " %s;", p->series[i].p[j].tip);
    for (size_t i = 0; i < p->n_row && b.n < sizeof p->desc; i++) lb_buf_fmt(&b, " %s;", p->rows[i].tip);
    snprintf(p->desc, sizeof p->desc, "%s", lb_buf_cstr(&b));
    lb_buf_free(&b);
    return true;
}

void lb_figure_say(lb_figure *f, const char *fmt, ...)
{
    size_t at = strlen(f->caption);
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->caption + at, sizeof f->caption - at, fmt, args);
    va_end(args);
}

int lb_figure_series(lb_figure *f, const char *name, int ink)
{
    for (size_t i = 0; i < f->plot.n_series; i++)
        if (strcmp(f->plot.series[i].name, name) == 0) return (int)i;
    return lb_plot_add_series(&f->plot, name, ink);
}

void lb_tip_add(char tip[160], const char *fmt, ...)
{
    size_t at = strlen(tip);
    va_list args;
    va_start(args, fmt);
    vsnprintf(tip + at, 160 - at, fmt, args);
    va_end(args);
}

lb_plot_point lb_figure_point(double x, double y, double half, const char *label)
{
    lb_plot_point q = {.x = x, .y = y, .lo = isfinite(half) ? y - half : NAN, .hi = isfinite(half) ? y + half : NAN};
    snprintf(q.tip, sizeof q.tip, "%.90s: %.1f", label, y);
    if (isfinite(half)) lb_tip_add(q.tip, " ± %.1f", half / LB_Z95);
    return q;
}
