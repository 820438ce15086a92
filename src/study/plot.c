/* study/plot.c – plots as data: series, points, rows; drawing is in plot_xy.c and plot_rows.c. */
#include "base/mem.h"
#include "study/plot_layout.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lb_plot_init(lb_plot *p, lb_plot_kind kind)
{
    *p = (lb_plot){.kind = kind, .x = {.lo = NAN, .hi = NAN}, .y = {.lo = NAN, .hi = NAN}};
}

void lb_plot_free(lb_plot *p)
{
    for (size_t i = 0; i < p->n_series; i++) free(p->series[i].p);
    free(p->series);
    free(p->rows);
    memset(p, 0, sizeof *p);
}

int lb_plot_add_series(lb_plot *p, const char *name, int ink)
{
    if (!lb_grow(&p->series, &p->cap_series, p->n_series + 1, sizeof *p->series, "a plot", NULL)) {
        p->oom = true;
        return -1;
    }
    lb_plot_series *s = &p->series[p->n_series];
    *s = (lb_plot_series){.ink = ink < 0 ? -1 : ink % (LB_PLOT_INKS * LB_PLOT_INKS), .line = true};
    snprintf(s->name, sizeof s->name, "%s", name);
    return (int)p->n_series++;
}

void lb_plot_add_point(lb_plot *p, int series, const lb_plot_point *pt)
{
    if (series < 0 || !isfinite(pt->x) || !isfinite(pt->y)) return;
    lb_plot_series *s = &p->series[series];
    if (!lb_grow(&s->p, &s->cap, s->n + 1, sizeof *s->p, "a plot", NULL)) {
        p->oom = true;
        return;
    }
    s->p[s->n++] = *pt;
}

lb_plot_row *lb_plot_add_row(lb_plot *p, const char *label)
{
    if (!lb_grow(&p->rows, &p->cap_row, p->n_row + 1, sizeof *p->rows, "a plot", NULL)) {
        p->oom = true;
        return NULL;
    }
    lb_plot_row *r = &p->rows[p->n_row++];
    *r = (lb_plot_row){.lo = NAN, .hi = NAN, .box_lo = NAN, .box_hi = NAN, .mid = NAN, .mean = NAN};
    snprintf(r->label, sizeof r->label, "%s", label);
    return r;
}

static void add_guide(lb_plot *p, double at, bool upright, const char *label)
{
    if (p->n_guide == (int)(sizeof p->guide / sizeof *p->guide) || !isfinite(at)) return;
    lb_plot_guide *g = &p->guide[p->n_guide++];
    g->at = at, g->upright = upright;
    snprintf(g->label, sizeof g->label, "%s", label);
}

void lb_plot_add_guide(lb_plot *p, double at, const char *label) { add_guide(p, at, false, label); }
void lb_plot_add_upright(lb_plot *p, double at, const char *label) { add_guide(p, at, true, label); }

/* ---- entry ---- */

double lb_plot_height(const lb_plot *p, double width, bool with_title)
{
    double title = with_title ? LB_PLOT_TEXT + 14 : 0;
    return p->kind == LB_PLOT_XY ? lb_xy_height(p, width) + title : lb_rows_height(p, width, title);
}

void lb_plot_draw(const lb_plot *p, lb_canvas *c)
{
    if (c->with_title) {
        char title[200];
        lb_text_fit(p->title, c->width, LB_PLOT_TEXT + 2, title, sizeof title);
        c->ops->text(c, 0, LB_PLOT_TEXT + 2, title, LB_START, LB_INK_TEXT, LB_PLOT_TEXT + 2, true);
    }
    if (p->kind == LB_PLOT_XY) lb_xy_draw(p, c);
    else lb_rows_draw(p, c);
}
