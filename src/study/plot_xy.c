/* study/plot_xy.c – lines and points: frame, guides, series, names at the ends of lines or a key. */
#include "study/plot_layout.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ink_of(const lb_plot_series *s) { return s->ink < 0 ? LB_INK_MUTED : s->ink; }

typedef struct frame { double x0, y0, x1, y1; } frame;

static double longest_name(const lb_plot *p)
{
    double w = 0;
    for (size_t i = 0; i < p->n_series; i++) w = fmax(w, lb_text_width(p->series[i].name, LB_PLOT_TEXT));
    return w;
}

/* Names beside the ends of lines, or a key above where they are too long, or there are no lines. */
static bool names_beside(const lb_plot *p, double width)
{
    for (size_t i = 0; i < p->n_series; i++)
        if (!p->series[i].line) return false;
    return longest_name(p) + 14 <= 0.34 * width;
}

static bool has_names(const lb_plot *p) { return p->n_series > 1 || (p->n_series == 1 && *p->series[0].name); }

/* Lays the key out line by line; draws it if c. Returns its height. */
static double key(const lb_plot *p, lb_canvas *c, double width, double top)
{
    double x = 0, y = top + LB_PLOT_TEXT;
    for (size_t i = 0; i < p->n_series; i++) {
        const lb_plot_series *s = &p->series[i];
        char name[100];
        if (!*s->name) continue;
        lb_text_fit(s->name, width - 24, LB_PLOT_TEXT, name, sizeof name);
        double w = 18 + lb_text_width(name, LB_PLOT_TEXT) + 10;
        if (x > 0 && x + w > width) x = 0, y += LB_PLOT_TEXT + 6;
        if (c) {
            c->ops->mark(c, x + 6, y - 4, ink_of(s), "");
            c->ops->text(c, x + 16, y, name, LB_START, LB_INK_TEXT, LB_PLOT_TEXT, false);
        }
        x += w;
    }
    return y + 6 - top;
}

static void draw_frame(const lb_plot *p, lb_canvas *c, const lb_axis *x, const lb_axis *y, const frame *f)
{
    char text[32];
    for (int i = 0; i < y->n_tick; i++) {
        double at_y = lb_axis_at(y, y->tick[i]);
        lb_draw_line(c, f->x0, at_y, f->x1, at_y, LB_INK_GRID, 1, false);
        lb_axis_text(y, i, text);
        c->ops->text(c, f->x0 - 6, at_y + 4, text, LB_END, LB_INK_MUTED, LB_PLOT_TEXT, false);
    }
    double free_from = -1e9;
    for (int i = 0; i < x->n_tick; i++) {
        int k = x->a->reverse ? x->n_tick - 1 - i : i;
        double at_x = lb_axis_at(x, x->tick[k]), half;
        lb_draw_line(c, at_x, f->y1, at_x, f->y1 + 4, LB_INK_MUTED, 1, false);
        lb_axis_text(x, k, text);
        half = lb_text_width(text, LB_PLOT_TEXT) / 2;
        if (at_x - half < free_from) continue; /* no room for this one */
        c->ops->text(c, at_x, f->y1 + 18, text, LB_MIDDLE, LB_INK_MUTED, LB_PLOT_TEXT, false);
        free_from = at_x + half + 4;
    }
    lb_draw_line(c, f->x0, f->y1, f->x1, f->y1, LB_INK_MUTED, 1, false);
    c->ops->text(c, (f->x0 + f->x1) / 2, f->y1 + 36, p->x.label, LB_MIDDLE, LB_INK_MUTED, LB_PLOT_TEXT, false);
    c->ops->text(c, 0, f->y0 - 10, p->y.label, LB_START, LB_INK_MUTED, LB_PLOT_TEXT, false);
    double top_free = -1e9; /* labels on top must not run into each other */
    for (int i = 0; i < p->n_guide; i++) {
        const lb_plot_guide *g = &p->guide[i];
        double at = lb_axis_at(g->upright ? x : y, g->at);
        if (g->upright) lb_draw_line(c, at, f->y0, at, f->y1, LB_INK_MUTED, 1.2, true);
        else lb_draw_line(c, f->x0, at, f->x1, at, LB_INK_MUTED, 1.2, true);
        if (g->upright && at < top_free) continue;
        if (g->upright) top_free = at + lb_text_width(g->label, LB_PLOT_TEXT - 1) + 10;
        c->ops->text(c, (g->upright ? at : f->x0) + 4, g->upright ? f->y0 + 9 : at - 4, g->label, LB_START, LB_INK_MUTED,
                     LB_PLOT_TEXT - 1, false);
    }
}

static double clamp(double v, double lo, double hi) { return v < lo ? lo : v > hi ? hi : v; }

static void draw_band(const lb_plot_series *s, lb_canvas *c, const lb_axis *x, const lb_axis *y)
{
    double *xy = malloc(4 * (s->n + 1) * sizeof *xy);
    int n = 0;
    if (!xy) return;
    for (size_t i = 0; i < s->n; i++)
        xy[2 * n] = lb_axis_at(x, s->p[i].x), xy[2 * n + 1] = lb_axis_at(y, s->p[i].hi), n++;
    for (size_t i = s->n; i-- > 0;)
        xy[2 * n] = lb_axis_at(x, s->p[i].x), xy[2 * n + 1] = lb_axis_at(y, s->p[i].lo), n++;
    c->ops->area(c, xy, n, ink_of(s), 0.22, "");
    free(xy);
}

static void draw_series(const lb_plot_series *s, lb_canvas *c, const lb_axis *x, const lb_axis *y, const frame *f)
{
    double last_x = 0, last_y = 0;
    if (s->band) draw_band(s, c, x, y);
    for (size_t i = 0; i < s->n; i++) {
        const lb_plot_point *p = &s->p[i];
        double at_x = lb_axis_at(x, p->x), at_y = lb_axis_at(y, p->y);
        if (i > 0 && s->line) lb_draw_line(c, last_x, last_y, at_x, at_y, ink_of(s), 2, s->dashed);
        last_x = at_x, last_y = at_y;
        if (s->band || !isfinite(p->lo) || !isfinite(p->hi)) continue;
        double hi = clamp(lb_axis_at(y, p->hi), f->y0, f->y1), lo = clamp(lb_axis_at(y, p->lo), f->y0, f->y1);
        lb_draw_line(c, at_x, lo, at_x, hi, ink_of(s), 1.4, false);
        lb_draw_line(c, at_x - 3, hi, at_x + 3, hi, ink_of(s), 1.4, false);
        lb_draw_line(c, at_x - 3, lo, at_x + 3, lo, ink_of(s), 1.4, false);
    }
    for (size_t i = 0; i < s->n; i++)
        if (!s->band || s->n <= 40)
            c->ops->mark(c, lb_axis_at(x, s->p[i].x), lb_axis_at(y, s->p[i].y), ink_of(s), s->p[i].tip);
}

typedef struct end { double x, y, want; size_t series; } end;

static int by_want(const void *a, const void *b)
{
    double d = ((const end *)a)->want - ((const end *)b)->want;
    return (d > 0) - (d < 0);
}

/* Moves labels apart to a line's height each, within the frame as far as there is room. */
static void spread(end *e, size_t n, const frame *f)
{
    double gap = LB_PLOT_TEXT + 3, floor_y = f->y0;
    for (size_t i = 0; i < n; i++) {
        e[i].y = fmax(e[i].want, floor_y);
        floor_y = e[i].y + gap;
    }
    double ceil_y = f->y1 + 4;
    for (size_t i = n; i-- > 0;) {
        if (e[i].y > ceil_y) e[i].y = ceil_y;
        ceil_y = e[i].y - gap;
    }
}

static void draw_names(const lb_plot *p, lb_canvas *c, const lb_axis *x, const lb_axis *y, const frame *f)
{
    end *e = calloc(p->n_series + 1, sizeof *e);
    size_t n = 0;
    if (!e) return;
    for (size_t i = 0; i < p->n_series; i++) {
        const lb_plot_series *s = &p->series[i];
        if (!s->n || !*s->name) continue;
        const lb_plot_point *q = &s->p[0];
        for (size_t j = 1; j < s->n; j++)
            if (lb_axis_at(x, s->p[j].x) >= lb_axis_at(x, q->x)) q = &s->p[j];
        e[n++] = (end){.x = lb_axis_at(x, q->x), .want = lb_axis_at(y, q->y), .series = i};
    }
    qsort(e, n, sizeof *e, by_want);
    spread(e, n, f);
    for (size_t i = 0; i < n; i++) {
        const lb_plot_series *s = &p->series[e[i].series];
        if (e[i].x < f->x1 - 12 || fabs(e[i].y - e[i].want) > 2)
            lb_draw_line(c, e[i].x + 6, e[i].want, f->x1 + 8, e[i].y, LB_INK_GRID, 1, false);
        c->ops->mark(c, f->x1 + 14, e[i].y, ink_of(s), "");
        c->ops->text(c, f->x1 + 22, e[i].y + 4, s->name, LB_START, LB_INK_TEXT, LB_PLOT_TEXT, false);
    }
    free(e);
}

typedef struct box { double x0, y0, x1, y1; } box;

static bool hits(const box *a, const box *b)
{
    return a->x0 < b->x1 && b->x0 < a->x1 && a->y0 < b->y1 && b->y0 < a->y1;
}

/* Labels of single points: right, left, above or below, wherever nothing is yet; left out where there is no place. */
static void draw_point_labels(const lb_plot *p, lb_canvas *c, const lb_axis *x, const lb_axis *y, const frame *f)
{
    size_t n = 0, cap = 1;
    for (size_t i = 0; i < p->n_series; i++) cap += 2 * p->series[i].n;
    box *taken = malloc(cap * sizeof *taken);
    if (!taken) return;
    for (size_t i = 0; i < p->n_series; i++)
        for (size_t j = 0; j < p->series[i].n; j++) {
            double px = lb_axis_at(x, p->series[i].p[j].x), py = lb_axis_at(y, p->series[i].p[j].y);
            taken[n++] = (box){px - 5, py - 5, px + 5, py + 5};
        }
    for (size_t i = 0; i < p->n_series; i++)
        for (size_t j = 0; j < p->series[i].n; j++) {
            const lb_plot_point *q = &p->series[i].p[j];
            double px = lb_axis_at(x, q->x), py = lb_axis_at(y, q->y), w = lb_text_width(q->label, LB_PLOT_TEXT - 1),
                   h = LB_PLOT_TEXT;
            const box place[] = {{px + 7, py - h / 2, px + 7 + w, py + h / 2},
                                 {px - 7 - w, py - h / 2, px - 7, py + h / 2},
                                 {px - w / 2, py - 8 - h, px + w / 2, py - 8},
                                 {px - w / 2, py + 8, px + w / 2, py + 8 + h}};
            for (int k = 0; *q->label && k < 4; k++) {
                bool free_place =
                    place[k].x0 >= f->x0 && place[k].x1 <= c->width && place[k].y0 >= f->y0 - 8 && place[k].y1 <= f->y1;
                for (size_t t = 0; free_place && t < n; t++) free_place = !hits(&place[k], &taken[t]);
                if (!free_place) continue;
                c->ops->text(c, place[k].x0, place[k].y1 - 2, q->label, LB_START, LB_INK_TEXT, LB_PLOT_TEXT - 1, false);
                taken[n++] = place[k];
                break;
            }
        }
    free(taken);
}

double lb_xy_height(const lb_plot *p, double width)
{
    double h = width >= 480 ? 320 : 290;
    if (has_names(p) && !names_beside(p, width)) h += key(p, NULL, width, 0);
    return h;
}

void lb_xy_draw(const lb_plot *p, lb_canvas *c)
{
    double x_lo = NAN, x_hi = NAN, y_lo = NAN, y_hi = NAN, top = lb_title_height(c), widest = 0;
    for (size_t i = 0; i < p->n_series; i++)
        for (size_t j = 0; j < p->series[i].n; j++) {
            const lb_plot_point *q = &p->series[i].p[j];
            lb_widen(&x_lo, &x_hi, q->x);
            lb_widen(&y_lo, &y_hi, q->y);
            if (p->y.scale != LB_LOG || q->lo > 0) lb_widen(&y_lo, &y_hi, q->lo);
            lb_widen(&y_lo, &y_hi, q->hi);
        }
    for (int i = 0; i < p->n_guide; i++)
        if (p->guide[i].upright) lb_widen(&x_lo, &x_hi, p->guide[i].at);
        else lb_widen(&y_lo, &y_hi, p->guide[i].at);
    lb_axis x, y;
    bool beside = has_names(p) && names_beside(p, c->width);
    if (has_names(p) && !beside) top += key(p, c, c->width, top);
    frame f = {.y0 = top + 30, .y1 = c->height - 44, .x1 = c->width - (beside ? longest_name(p) + 28 : 10)};
    lb_axis_set(&y, &p->y, y_lo, y_hi, 6);
    for (int i = 0; i < y.n_tick; i++) {
        char text[32];
        lb_axis_text(&y, i, text);
        widest = fmax(widest, lb_text_width(text, LB_PLOT_TEXT));
    }
    f.x0 = widest + 10;
    lb_axis_set(&x, &p->x, x_lo, x_hi, (int)fmax(2, (f.x1 - f.x0) / 60));
    x.px0 = f.x0, x.px1 = f.x1, y.px0 = f.y1, y.px1 = f.y0;
    draw_frame(p, c, &x, &y, &f);
    for (size_t i = 0; i < p->n_series; i++) draw_series(&p->series[i], c, &x, &y, &f);
    if (beside) draw_names(p, c, &x, &y, &f);
    draw_point_labels(p, c, &x, &y, &f);
}
