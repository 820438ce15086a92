/* study/plot_rows.c – one line each: label, bar or box, value. */
#include "study/plot_layout.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct rows { double label, value, step, top; bool above; } rows;    /* widths, height of a row, first row */

static rows rows_of(const lb_plot *p, double width, double top)
{
    rows r = {.top = top + (p->n_guide ? 22 : 6)};
    double longest = 0;
    for (size_t i = 0; i < p->n_row; i++) {
        if (!p->rows[i].heading) longest = fmax(longest, lb_text_width(p->rows[i].label, LB_PLOT_TEXT));
        r.value = fmax(r.value, lb_text_width(p->rows[i].value, LB_PLOT_TEXT));
    }
    r.above = longest > 0.36 * width; /* then labels have a line of their own */
    r.label = r.above ? 0 : longest + 10;
    if (r.value > 0) r.value += 8;
    r.step = r.above ? 2 * LB_PLOT_TEXT + 12 : LB_PLOT_TEXT + 10;
    return r;
}

double lb_rows_height(const lb_plot *p, double width, double top)
{
    rows r = rows_of(p, width, top);
    return r.top + (double)p->n_row * r.step + 44;
}

static void draw_row(const lb_plot_row *r, lb_canvas *c, const lb_axis *x, const rows *at_, double y)
{
    char label[100];
    if (r->heading || at_->above) {
        lb_text_fit(r->label, c->width, LB_PLOT_TEXT, label, sizeof label);
        c->ops->text(c, 0, r->heading ? y + 4 : y - 9, label, LB_START, r->heading ? LB_INK_MUTED : LB_INK_TEXT,
                     LB_PLOT_TEXT, r->heading);
        if (r->heading) return;
        y += 6;
    } else {
        lb_text_fit(r->label, at_->label, LB_PLOT_TEXT, label, sizeof label);
        c->ops->text(c, 0, y + 4, label, LB_START, LB_INK_TEXT, LB_PLOT_TEXT, false);
    }
    int ink = r->ink < 0 ? LB_INK_MUTED : r->ink;
    c->ops->text(c, c->width, y + 4, r->value, LB_END, LB_INK_MUTED, LB_PLOT_TEXT, false);
    if (isfinite(r->lo) && isfinite(r->hi)) {
        double lo = lb_axis_at(x, r->lo), hi = lb_axis_at(x, r->hi);
        lb_draw_line(c, lo, y, hi, y, ink, 1.6, false);
        lb_draw_line(c, lo, y - 4, lo, y + 4, ink, 1.6, false);
        lb_draw_line(c, hi, y - 4, hi, y + 4, ink, 1.6, false);
    }
    if (isfinite(r->box_lo) && isfinite(r->box_hi)) {
        double lo = lb_axis_at(x, r->box_lo), hi = lb_axis_at(x, r->box_hi);
        double xy[] = {lo, y - 6, hi, y - 6, hi, y + 6, lo, y + 6};
        c->ops->area(c, xy, 4, ink, 0.3, r->tip);
        if (isfinite(r->mid))
            lb_draw_line(c, lb_axis_at(x, r->mid), y - 7, lb_axis_at(x, r->mid), y + 7, ink, 2.5, false);
        if (isfinite(r->mean)) c->ops->mark(c, lb_axis_at(x, r->mean), y, ink, r->tip);
    } else if (isfinite(r->mid)) {
        c->ops->mark(c, lb_axis_at(x, r->mid), y, ink, r->tip);
    }
}

void lb_rows_draw(const lb_plot *p, lb_canvas *c)
{
    rows r = rows_of(p, c->width, lb_title_height(c));
    double lo = NAN, hi = NAN;
    for (size_t i = 0; i < p->n_row; i++) {
        const lb_plot_row *w = &p->rows[i];
        const double v[] = {w->lo, w->hi, w->box_lo, w->box_hi, w->mid, w->mean};
        for (int k = 0; k < 6; k++) lb_widen(&lo, &hi, v[k]);
    }
    for (int i = 0; i < p->n_guide; i++) lb_widen(&lo, &hi, p->guide[i].at);
    lb_axis x;
    double x0 = r.label + 4, x1 = c->width - r.value - 4, y1 = r.top + (double)p->n_row * r.step;
    lb_axis_set(&x, &p->x, lo, hi, (int)fmax(2, (x1 - x0) / 60));
    x.px0 = x0, x.px1 = x1;
    char text[32];
    double free_from = -1e9;
    for (int i = 0; i < x.n_tick; i++) {
        double at_x = lb_axis_at(&x, x.tick[i]);
        lb_draw_line(c, at_x, r.top - 2, at_x, y1, LB_INK_GRID, 1, false);
        lb_axis_text(&x, i, text);
        if (at_x - lb_text_width(text, LB_PLOT_TEXT) / 2 < free_from) continue;
        c->ops->text(c, at_x, y1 + 16, text, LB_MIDDLE, LB_INK_MUTED, LB_PLOT_TEXT, false);
        free_from = at_x + lb_text_width(text, LB_PLOT_TEXT) / 2 + 3;
    }
    double guide_free = -1e9;
    for (int i = 0; i < p->n_guide; i++) {
        double at_x = lb_axis_at(&x, p->guide[i].at), w = lb_text_width(p->guide[i].label, LB_PLOT_TEXT - 1),
               from = fmin(at_x + 3, c->width - w);
        lb_draw_line(c, at_x, r.top - 12, at_x, y1, LB_INK_MUTED, 1.2, true);
        if (from < guide_free) continue;
        c->ops->text(c, from, r.top - 8, p->guide[i].label, LB_START, LB_INK_MUTED, LB_PLOT_TEXT - 1, false);
        guide_free = from + w + 3;
    }
    for (size_t i = 0; i < p->n_row; i++) draw_row(&p->rows[i], c, &x, &r, r.top + ((double)i + 0.5) * r.step);
    c->ops->text(c, (x0 + x1) / 2, y1 + 34, p->x.label, LB_MIDDLE, LB_INK_MUTED, LB_PLOT_TEXT, false);
}
