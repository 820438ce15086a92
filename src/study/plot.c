/* study/plot.c – the layout of plots: where everything goes, in pixels.
 *
 *   building      series, points, rows
 *   axes          range, scale, ticks
 *   XY            frame, guides, series, names at the ends of lines or a key
 *   rows          label, bar or box, value
 *   entry         height, draw */
#include "study/plot.h"
#include "base/mem.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 12 };              /* of text, in pixels: the same at every width */

/* ---- building ---- */

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

void lb_plot_add_guide(lb_plot *p, double at, const char *label)
{
    if (p->n_guide == (int)(sizeof p->guide / sizeof *p->guide) || !isfinite(at)) return;
    lb_plot_guide *g = &p->guide[p->n_guide++];
    g->at = at;
    snprintf(g->label, sizeof g->label, "%s", label);
}

/* ---- axes ---- */

typedef struct axis {
    const lb_plot_axis *a;
    double lo, hi;               /* after scaling */
    double px0, px1;             /* where they lie */
    double tick[LB_PLOT_MAX_TICK], step;
    int n_tick;
} axis;

static double scaled(lb_scale s, double v)
{
    if (s == LB_LOG) return v > 0 ? log10(v) : NAN;
    return s == LB_SYMLOG ? copysign(log10(1 + fabs(v)), v) : v;
}

static double at(const axis *x, double v)
{
    double t = (scaled(x->a->scale, v) - x->lo) / (x->hi - x->lo);
    if (x->a->reverse) t = 1 - t;
    return x->px0 + t * (x->px1 - x->px0);
}

static void widen(double *lo, double *hi, double v)
{
    if (!isfinite(v)) return;
    if (!isfinite(*lo) || v < *lo) *lo = v;
    if (!isfinite(*hi) || v > *hi) *hi = v;
}

/* Range of data [lo,hi] to axis: a margin of 4 %, ticks, at most max_n of them. */
static void set_axis(axis *x, const lb_plot_axis *a, double lo, double hi, int max_n)
{
    *x = (axis){.a = a};
    if (!isfinite(lo)) lo = 0, hi = 1;
    if (a->scale == LB_LOG && !(lo > 0)) lo = 1e-12;
    if (isfinite(a->lo)) lo = a->lo;
    if (isfinite(a->hi)) hi = a->hi;
    if (!(hi > lo)) {
        double d = a->scale == LB_LOG ? 0 : fabs(lo) * 0.05 + 0.5;
        lo = a->scale == LB_LOG ? lo / 1.5 : lo - d, hi = a->scale == LB_LOG ? hi * 1.5 : hi + d;
    }
    x->lo = scaled(a->scale, lo), x->hi = scaled(a->scale, hi);
    double margin = 0.04 * (x->hi - x->lo);
    if (!isfinite(a->lo)) x->lo -= margin;
    if (!isfinite(a->hi)) x->hi += margin;
    double real_lo = a->scale == LB_LOG ? pow(10, x->lo) : lo - 1e-9 * fabs(lo);
    double real_hi = a->scale == LB_LOG ? pow(10, x->hi) : hi + 1e-9 * fabs(hi);
    if (a->scale == LB_LINEAR) real_lo = x->lo, real_hi = x->hi;
    if (a->n_tick > 0) {
        for (int i = 0; i < a->n_tick; i++)
            if (a->tick[i] >= real_lo && a->tick[i] <= real_hi) x->tick[x->n_tick++] = a->tick[i];
    } else if (a->scale == LB_LOG) {
        x->n_tick = lb_ticks_log(real_lo, real_hi, max_n, x->tick);
    } else if (a->scale == LB_LINEAR) {
        x->n_tick = lb_ticks(real_lo, real_hi, max_n, x->tick, &x->step);
    } else {
        static const double t[] = {-100, -30, -10, -3, -1, 0, 1, 3, 10, 30, 100};
        for (size_t i = 0; i < sizeof t / sizeof *t; i++)
            if (t[i] >= real_lo && t[i] <= real_hi) x->tick[x->n_tick++] = t[i];
    }
    if (a->scale == LB_LOG && x->n_tick < 2) x->n_tick = lb_ticks(real_lo, real_hi, max_n, x->tick, &x->step); /* narrow */
}

static void tick_label(const axis *x, int i, char out[32]) { lb_tick_text(x->tick[i], x->step, x->a->unit, out); }

/* ---- text ---- */

/* An estimate that errs to the wide side for the sans-serif faces of browsers and of cairo. */
static double text_width(const char *s, double size)
{
    int n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n * size * 0.58;
}

/* s cut to fit, with an ellipsis. */
static void fit_text(const char *s, double width, double size, char *out, size_t cap)
{
    snprintf(out, cap, "%s", s);
    if (text_width(s, size) <= width) return;
    int room = (int)(width / (size * 0.58)) - 1, n = 0;
    size_t i = 0;
    for (; s[i] && i + 4 < cap; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80 && n++ >= room) break;
    }
    snprintf(out + i, cap - i, "…");
}

static void line(lb_canvas *c, double x0, double y0, double x1, double y1, int ink, double width, bool dashed)
{
    double xy[] = {x0, y0, x1, y1};
    c->ops->path(c, xy, 2, ink, width, dashed);
}

static int ink_of(const lb_plot_series *s) { return s->ink < 0 ? LB_INK_MUTED : s->ink; }

/* ---- XY ---- */

typedef struct frame { double x0, y0, x1, y1; } frame;

static double longest_name(const lb_plot *p)
{
    double w = 0;
    for (size_t i = 0; i < p->n_series; i++) w = fmax(w, text_width(p->series[i].name, SIZE));
    return w;
}

/* Names beside the ends of lines, or a key above: whatever fits. A single series needs no name where it has one label
 * a point; its title says what it is. */
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
    double x = 0, y = top + SIZE;
    for (size_t i = 0; i < p->n_series; i++) {
        const lb_plot_series *s = &p->series[i];
        char name[100];
        fit_text(s->name, width - 24, SIZE, name, sizeof name);
        double w = 18 + text_width(name, SIZE) + 10;
        if (x > 0 && x + w > width) x = 0, y += SIZE + 6;
        if (c) {
            c->ops->mark(c, x + 6, y - 4, ink_of(s), "");
            c->ops->text(c, x + 16, y, name, LB_START, LB_INK_TEXT, SIZE, false);
        }
        x += w;
    }
    return y + 6 - top;
}

static double title_height(const lb_canvas *c) { return c->with_title ? SIZE + 14 : 0; }

static void draw_frame(const lb_plot *p, lb_canvas *c, const axis *x, const axis *y, const frame *f)
{
    char text[32];
    for (int i = 0; i < y->n_tick; i++) {
        double at_y = at(y, y->tick[i]);
        line(c, f->x0, at_y, f->x1, at_y, LB_INK_GRID, 1, false);
        tick_label(y, i, text);
        c->ops->text(c, f->x0 - 6, at_y + 4, text, LB_END, LB_INK_MUTED, SIZE, false);
    }
    double free_from = -1e9;
    for (int i = 0; i < x->n_tick; i++) {
        int k = x->a->reverse ? x->n_tick - 1 - i : i;
        double at_x = at(x, x->tick[k]), half;
        line(c, at_x, f->y1, at_x, f->y1 + 4, LB_INK_MUTED, 1, false);
        tick_label(x, k, text);
        half = text_width(text, SIZE) / 2;
        if (at_x - half < free_from) continue; /* no room for this one */
        c->ops->text(c, at_x, f->y1 + 18, text, LB_MIDDLE, LB_INK_MUTED, SIZE, false);
        free_from = at_x + half + 4;
    }
    line(c, f->x0, f->y1, f->x1, f->y1, LB_INK_MUTED, 1, false);
    c->ops->text(c, (f->x0 + f->x1) / 2, f->y1 + 36, p->x.label, LB_MIDDLE, LB_INK_MUTED, SIZE, false);
    c->ops->text(c, 0, f->y0 - 10, p->y.label, LB_START, LB_INK_MUTED, SIZE, false);
    for (int i = 0; i < p->n_guide; i++) {
        double at_y = at(y, p->guide[i].at);
        line(c, f->x0, at_y, f->x1, at_y, LB_INK_MUTED, 1.2, true);
        c->ops->text(c, f->x0 + 4, at_y - 4, p->guide[i].label, LB_START, LB_INK_MUTED, SIZE - 1, false);
    }
}

static double clamp(double v, double lo, double hi) { return v < lo ? lo : v > hi ? hi : v; }

static void draw_band(const lb_plot_series *s, lb_canvas *c, const axis *x, const axis *y)
{
    double *xy = malloc(4 * (s->n + 1) * sizeof *xy);
    int n = 0;
    if (!xy) return;
    for (size_t i = 0; i < s->n; i++) xy[2 * n] = at(x, s->p[i].x), xy[2 * n + 1] = at(y, s->p[i].hi), n++;
    for (size_t i = s->n; i-- > 0;) xy[2 * n] = at(x, s->p[i].x), xy[2 * n + 1] = at(y, s->p[i].lo), n++;
    c->ops->area(c, xy, n, ink_of(s), 0.22, "");
    free(xy);
}

static void draw_series(const lb_plot_series *s, lb_canvas *c, const axis *x, const axis *y, const frame *f)
{
    double last_x = 0, last_y = 0;
    if (s->band) draw_band(s, c, x, y);
    for (size_t i = 0; i < s->n; i++) {
        const lb_plot_point *p = &s->p[i];
        double at_x = at(x, p->x), at_y = at(y, p->y);
        if (i > 0 && s->line) line(c, last_x, last_y, at_x, at_y, ink_of(s), 2, s->dashed);
        last_x = at_x, last_y = at_y;
        if (s->band || !isfinite(p->lo) || !isfinite(p->hi)) continue;
        double hi = clamp(at(y, p->hi), f->y0, f->y1), lo = clamp(at(y, p->lo), f->y0, f->y1);
        line(c, at_x, lo, at_x, hi, ink_of(s), 1.4, false);
        line(c, at_x - 3, hi, at_x + 3, hi, ink_of(s), 1.4, false);
        line(c, at_x - 3, lo, at_x + 3, lo, ink_of(s), 1.4, false);
    }
    for (size_t i = 0; i < s->n; i++)
        if (!s->band || s->n <= 40) c->ops->mark(c, at(x, s->p[i].x), at(y, s->p[i].y), ink_of(s), s->p[i].tip);
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
    double gap = SIZE + 3, floor_y = f->y0;
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

static void draw_names(const lb_plot *p, lb_canvas *c, const axis *x, const axis *y, const frame *f)
{
    end *e = calloc(p->n_series + 1, sizeof *e);
    size_t n = 0;
    if (!e) return;
    for (size_t i = 0; i < p->n_series; i++) {
        const lb_plot_series *s = &p->series[i];
        if (!s->n) continue;
        const lb_plot_point *q = &s->p[0];
        for (size_t j = 1; j < s->n; j++)
            if (at(x, s->p[j].x) >= at(x, q->x)) q = &s->p[j];
        e[n++] = (end){.x = at(x, q->x), .want = at(y, q->y), .series = i};
    }
    qsort(e, n, sizeof *e, by_want);
    spread(e, n, f);
    for (size_t i = 0; i < n; i++) {
        const lb_plot_series *s = &p->series[e[i].series];
        if (e[i].x < f->x1 - 12 || fabs(e[i].y - e[i].want) > 2)
            line(c, e[i].x + 6, e[i].want, f->x1 + 8, e[i].y, LB_INK_GRID, 1, false);
        c->ops->mark(c, f->x1 + 14, e[i].y, ink_of(s), "");
        c->ops->text(c, f->x1 + 22, e[i].y + 4, s->name, LB_START, LB_INK_TEXT, SIZE, false);
    }
    free(e);
}

typedef struct box { double x0, y0, x1, y1; } box;

static bool hits(const box *a, const box *b) { return a->x0 < b->x1 && b->x0 < a->x1 && a->y0 < b->y1 && b->y0 < a->y1; }

/* Labels of single points: right, left, above or below, wherever nothing is yet; left out where there is no place. */
static void draw_point_labels(const lb_plot *p, lb_canvas *c, const axis *x, const axis *y, const frame *f)
{
    size_t n = 0, cap = 1;
    for (size_t i = 0; i < p->n_series; i++) cap += 2 * p->series[i].n;
    box *taken = malloc(cap * sizeof *taken);
    if (!taken) return;
    for (size_t i = 0; i < p->n_series; i++)
        for (size_t j = 0; j < p->series[i].n; j++) {
            double px = at(x, p->series[i].p[j].x), py = at(y, p->series[i].p[j].y);
            taken[n++] = (box){px - 5, py - 5, px + 5, py + 5};
        }
    for (size_t i = 0; i < p->n_series; i++)
        for (size_t j = 0; j < p->series[i].n; j++) {
            const lb_plot_point *q = &p->series[i].p[j];
            double px = at(x, q->x), py = at(y, q->y), w = text_width(q->label, SIZE - 1), h = SIZE;
            const box place[] = {{px + 7, py - h / 2, px + 7 + w, py + h / 2}, {px - 7 - w, py - h / 2, px - 7, py + h / 2},
                                 {px - w / 2, py - 8 - h, px + w / 2, py - 8}, {px - w / 2, py + 8, px + w / 2, py + 8 + h}};
            for (int k = 0; *q->label && k < 4; k++) {
                bool free_place = place[k].x0 >= f->x0 && place[k].x1 <= c->width && place[k].y0 >= f->y0 - 8 && place[k].y1 <= f->y1;
                for (size_t t = 0; free_place && t < n; t++) free_place = !hits(&place[k], &taken[t]);
                if (!free_place) continue;
                c->ops->text(c, place[k].x0, place[k].y1 - 2, q->label, LB_START, LB_INK_TEXT, SIZE - 1, false);
                taken[n++] = place[k];
                break;
            }
        }
    free(taken);
}

static double xy_height(const lb_plot *p, double width)
{
    double h = width >= 480 ? 320 : 290;
    if (has_names(p) && !names_beside(p, width)) h += key(p, NULL, width, 0);
    return h;
}

static void draw_xy(const lb_plot *p, lb_canvas *c)
{
    double x_lo = NAN, x_hi = NAN, y_lo = NAN, y_hi = NAN, top = title_height(c), widest = 0;
    for (size_t i = 0; i < p->n_series; i++)
        for (size_t j = 0; j < p->series[i].n; j++) {
            const lb_plot_point *q = &p->series[i].p[j];
            widen(&x_lo, &x_hi, q->x);
            widen(&y_lo, &y_hi, q->y);
            if (p->y.scale != LB_LOG || q->lo > 0) widen(&y_lo, &y_hi, q->lo);
            widen(&y_lo, &y_hi, q->hi);
        }
    for (int i = 0; i < p->n_guide; i++) widen(&y_lo, &y_hi, p->guide[i].at);
    axis x, y;
    bool beside = has_names(p) && names_beside(p, c->width);
    if (has_names(p) && !beside) top += key(p, c, c->width, top);
    frame f = {.y0 = top + 30, .y1 = c->height - 44, .x1 = c->width - (beside ? longest_name(p) + 28 : 10)};
    set_axis(&y, &p->y, y_lo, y_hi, 6);
    for (int i = 0; i < y.n_tick; i++) {
        char text[32];
        tick_label(&y, i, text);
        widest = fmax(widest, text_width(text, SIZE));
    }
    f.x0 = widest + 10;
    set_axis(&x, &p->x, x_lo, x_hi, (int)fmax(2, (f.x1 - f.x0) / 60));
    x.px0 = f.x0, x.px1 = f.x1, y.px0 = f.y1, y.px1 = f.y0;
    draw_frame(p, c, &x, &y, &f);
    for (size_t i = 0; i < p->n_series; i++) draw_series(&p->series[i], c, &x, &y, &f);
    if (beside) draw_names(p, c, &x, &y, &f);
    draw_point_labels(p, c, &x, &y, &f);
}

/* ---- rows ---- */

typedef struct rows { double label, value, step, top; bool above; } rows;    /* widths, height of a row, first row */

static rows rows_of(const lb_plot *p, double width, double top)
{
    rows r = {.top = top + (p->n_guide ? 22 : 6)};
    double longest = 0;
    for (size_t i = 0; i < p->n_row; i++) {
        if (!p->rows[i].heading) longest = fmax(longest, text_width(p->rows[i].label, SIZE));
        r.value = fmax(r.value, text_width(p->rows[i].value, SIZE));
    }
    r.above = longest > 0.36 * width; /* then labels have a line of their own */
    r.label = r.above ? 0 : longest + 10;
    if (r.value > 0) r.value += 8;
    r.step = r.above ? 2 * SIZE + 12 : SIZE + 10;
    return r;
}

static double rows_height(const lb_plot *p, double width, double top)
{
    rows r = rows_of(p, width, top);
    return r.top + (double)p->n_row * r.step + 44;
}

static void draw_row(const lb_plot_row *r, lb_canvas *c, const axis *x, const rows *at_, double y)
{
    char label[100];
    if (r->heading || at_->above) {
        fit_text(r->label, c->width, SIZE, label, sizeof label);
        c->ops->text(c, 0, r->heading ? y + 4 : y - 9, label, LB_START, r->heading ? LB_INK_MUTED : LB_INK_TEXT, SIZE, r->heading);
        if (r->heading) return;
        y += 6;
    } else {
        fit_text(r->label, at_->label, SIZE, label, sizeof label);
        c->ops->text(c, 0, y + 4, label, LB_START, LB_INK_TEXT, SIZE, false);
    }
    int ink = r->ink < 0 ? LB_INK_MUTED : r->ink;
    c->ops->text(c, c->width, y + 4, r->value, LB_END, LB_INK_MUTED, SIZE, false);
    if (isfinite(r->lo) && isfinite(r->hi)) {
        double lo = at(x, r->lo), hi = at(x, r->hi);
        line(c, lo, y, hi, y, ink, 1.6, false);
        line(c, lo, y - 4, lo, y + 4, ink, 1.6, false);
        line(c, hi, y - 4, hi, y + 4, ink, 1.6, false);
    }
    if (isfinite(r->box_lo) && isfinite(r->box_hi)) {
        double lo = at(x, r->box_lo), hi = at(x, r->box_hi);
        double xy[] = {lo, y - 6, hi, y - 6, hi, y + 6, lo, y + 6};
        c->ops->area(c, xy, 4, ink, 0.3, r->tip);
        if (isfinite(r->mid)) line(c, at(x, r->mid), y - 7, at(x, r->mid), y + 7, ink, 2.5, false);
        if (isfinite(r->mean)) c->ops->mark(c, at(x, r->mean), y, ink, r->tip);
    } else if (isfinite(r->mid)) {
        c->ops->mark(c, at(x, r->mid), y, ink, r->tip);
    }
}

static void draw_rows(const lb_plot *p, lb_canvas *c)
{
    rows r = rows_of(p, c->width, title_height(c));
    double lo = NAN, hi = NAN;
    for (size_t i = 0; i < p->n_row; i++) {
        const lb_plot_row *w = &p->rows[i];
        const double v[] = {w->lo, w->hi, w->box_lo, w->box_hi, w->mid, w->mean};
        for (int k = 0; k < 6; k++) widen(&lo, &hi, v[k]);
    }
    for (int i = 0; i < p->n_guide; i++) widen(&lo, &hi, p->guide[i].at);
    axis x;
    double x0 = r.label + 4, x1 = c->width - r.value - 4, y1 = r.top + (double)p->n_row * r.step;
    set_axis(&x, &p->x, lo, hi, (int)fmax(2, (x1 - x0) / 60));
    x.px0 = x0, x.px1 = x1;
    char text[32];
    double free_from = -1e9;
    for (int i = 0; i < x.n_tick; i++) {
        double at_x = at(&x, x.tick[i]);
        line(c, at_x, r.top - 2, at_x, y1, LB_INK_GRID, 1, false);
        tick_label(&x, i, text);
        if (at_x - text_width(text, SIZE) / 2 < free_from) continue;
        c->ops->text(c, at_x, y1 + 16, text, LB_MIDDLE, LB_INK_MUTED, SIZE, false);
        free_from = at_x + text_width(text, SIZE) / 2 + 3;
    }
    double guide_free = -1e9;
    for (int i = 0; i < p->n_guide; i++) {
        double at_x = at(&x, p->guide[i].at), w = text_width(p->guide[i].label, SIZE - 1), from = fmin(at_x + 3, c->width - w);
        line(c, at_x, r.top - 12, at_x, y1, LB_INK_MUTED, 1.2, true);
        if (from < guide_free) continue;
        c->ops->text(c, from, r.top - 8, p->guide[i].label, LB_START, LB_INK_MUTED, SIZE - 1, false);
        guide_free = from + w + 3;
    }
    for (size_t i = 0; i < p->n_row; i++) draw_row(&p->rows[i], c, &x, &r, r.top + ((double)i + 0.5) * r.step);
    c->ops->text(c, (x0 + x1) / 2, y1 + 34, p->x.label, LB_MIDDLE, LB_INK_MUTED, SIZE, false);
}

/* ---- entry ---- */

double lb_plot_height(const lb_plot *p, double width, bool with_title)
{
    double title = with_title ? SIZE + 14 : 0;
    return p->kind == LB_PLOT_XY ? xy_height(p, width) + title : rows_height(p, width, title);
}

void lb_plot_draw(const lb_plot *p, lb_canvas *c)
{
    if (c->with_title) {
        char title[200];
        fit_text(p->title, c->width, SIZE + 2, title, sizeof title);
        c->ops->text(c, 0, SIZE + 2, title, LB_START, LB_INK_TEXT, SIZE + 2, true);
    }
    if (p->kind == LB_PLOT_XY) draw_xy(p, c);
    else draw_rows(p, c);
}
