/* study/plot.h – a small plotting layer: plots as data, drawn at any width by two back ends, SVG text and cairo PNG.
 *
 *     lb_plot p;                                  y ┌──────────────┐ names at the ends of lines, moved apart; a key
 *     lb_plot_init(&p, LB_PLOT_XY);                 │  ●──●──●  name  above the plot where they do not fit beside it
 *     int s = lb_plot_series(&p, "gptq", 0);        └──────────────┘
 *     lb_plot_point(&p, s, 3.24, 97.6, 96.2, 99.0, "w3g128 gptq: 97.6 ± 0.7");          x
 *
 * Two kinds: XY (lines and points with error bars), and rows (one line of text, a bar or a box each, which is how many
 * long names stay readable). Colours are names here; what they look like is the page's business in SVG (CSS variables,
 * so that light and dark are one text) and lb_palette's in PNG. No colour alone carries a meaning: series differ in
 * their marks as well. Running out of memory is remembered (oom) and reported by the drawing functions. */
#ifndef LB_STUDY_PLOT_H
#define LB_STUDY_PLOT_H
#include "base/buf.h"

enum { LB_PLOT_INKS = 7, LB_PLOT_MAX_TICK = 24 };

typedef enum lb_scale { LB_LINEAR, LB_LOG, LB_SYMLOG } lb_scale;     /* symlog: sign(x)·log10(1 + |x|) */
typedef enum lb_unit { LB_UNIT_NONE, LB_UNIT_BYTES } lb_unit;
typedef enum lb_plot_kind { LB_PLOT_XY, LB_PLOT_ROWS } lb_plot_kind;

typedef struct lb_plot_axis {
    char label[96];
    lb_scale scale;
    lb_unit unit;
    bool reverse;                    /* largest value first (x only) */
    double lo, hi;                   /* NaN: from the data */
    double tick[LB_PLOT_MAX_TICK];   /* n_tick > 0: these instead of nice ones */
    int n_tick;
} lb_plot_axis;

typedef struct lb_plot_point {
    double x, y, lo, hi;             /* lo, hi: error bar in y, NaN for none */
    char tip[160];                   /* shown on hover, read aloud */
    char label[48];                  /* written beside the point, "" for nothing */
} lb_plot_point;

typedef struct lb_plot_series {
    char name[96];                   /* "": drawn, but neither named nor in the key */
    int ink;                         /* from 0: colour and mark, together different up to 48; −1: neutral */
    bool line, dashed, band;         /* points joined; lo…hi is an area instead of bars */
    lb_plot_point *p;                /* owned */
    size_t n, cap;
} lb_plot_series;

typedef struct lb_plot_row {         /* rows: what is NaN is not drawn; "heading" rows have text only */
    char label[96], value[48], tip[160];
    double lo, hi, box_lo, box_hi, mid, mean;
    int ink;
    bool heading;
} lb_plot_row;

/* A dashed line: y of XY, x of rows; an upright one is at x of XY, its label on top. */
typedef struct lb_plot_guide { double at; bool upright; char label[48]; } lb_plot_guide;

typedef struct lb_plot {
    lb_plot_kind kind;
    char title[160], desc[600];      /* of the picture, for those who do not see it */
    char name[64];                   /* plain file name of the PNG, without ".png" */
    lb_plot_axis x, y;
    lb_plot_series *series;          /* owned */
    lb_plot_row *rows;               /* owned */
    size_t n_series, cap_series, n_row, cap_row;
    lb_plot_guide guide[24];
    int n_guide;
    bool oom;
} lb_plot;

void lb_plot_init(lb_plot *p, lb_plot_kind kind);
void lb_plot_free(lb_plot *p);
/* Index of a new series (joined by a line); ink −1 is neutral. A failed one is −1, which the next call ignores. */
int lb_plot_add_series(lb_plot *p, const char *name, int ink);
void lb_plot_add_point(lb_plot *p, int series, const lb_plot_point *pt);
/* The new row, all numbers NaN, or NULL without memory. */
lb_plot_row *lb_plot_add_row(lb_plot *p, const char *label);
void lb_plot_add_guide(lb_plot *p, double at, const char *label);
void lb_plot_add_upright(lb_plot *p, double at, const char *label);

/* <svg …>…</svg> of that width in CSS pixels; height follows. `id` makes ids unique; css_class for the page's rules. */
bool lb_plot_svg(const lb_plot *p, double width, const char *id, const char *css_class, lb_buf *out, lb_err *err);
/* The same with its title, at twice the pixels, on white, written whole or not at all. */
bool lb_plot_png(const lb_plot *p, double width, const char *path, lb_err *err);

/* ---- parts, for tests and other plots ---- */

/* Nice ticks within [lo,hi] at 1, 2 or 5 times a power of ten, at most max_n ≤ LB_PLOT_MAX_TICK; returns how many, and
 * the step. No tick for an interval that is empty, not finite or too small for its magnitude. */
int lb_ticks(double lo, double hi, int max_n, double *out, double *step);
/* For 0 < lo < hi: powers of ten, with 2 and 5 where there are less than three. */
int lb_ticks_log(double lo, double hi, int max_n, double *out);
/* "0.25", "1,200", "10⁻³", "1.5 MB": with the decimals that `step` needs (0: as short as exact). */
void lb_tick_text(double v, double step, lb_unit unit, char out[32]);

/* 0xRRGGBB on a light and on a dark page. At least 3:1 against them (WCAG 1.4.11), text inks 4.5:1. */
typedef struct lb_palette { uint32_t page, text, muted, grid, ink[LB_PLOT_INKS]; } lb_palette;
extern const lb_palette lb_palette_light, lb_palette_dark;

/* ---- back ends ---- */

/* Inks below LB_INK_TEXT are of series: the colour is ink mod LB_PLOT_INKS, the mark another with every round. */
typedef enum lb_ink { LB_INK_TEXT = 100, LB_INK_MUTED, LB_INK_GRID } lb_ink;
static inline int lb_ink_shape(int ink)
{
    return ink < 0 || ink >= LB_INK_TEXT ? 0 : (ink + ink / LB_PLOT_INKS) % LB_PLOT_INKS;
}
typedef enum lb_anchor { LB_START, LB_MIDDLE, LB_END } lb_anchor;

typedef struct lb_canvas lb_canvas;
typedef struct lb_canvas_ops {       /* pixels, y down; colours by name */
    void (*path)(lb_canvas *c, const double *xy, int n, int ink, double width, bool dashed);
    void (*area)(lb_canvas *c, const double *xy, int n, int ink, double alpha, const char *tip);
    void (*mark)(lb_canvas *c, double x, double y, int ink, const char *tip);      /* its shape is the ink's */
    void (*text)(lb_canvas *c, double x, double y, const char *s, lb_anchor a, int ink, double size, bool bold);
} lb_canvas_ops;
struct lb_canvas {
    const lb_canvas_ops *ops;
    void *to;                        /* the back end's own */
    double width, height;
    bool with_title;
};
/* Draws onto a canvas whose height is what lb_plot_height said. */
double lb_plot_height(const lb_plot *p, double width, bool with_title);
void lb_plot_draw(const lb_plot *p, lb_canvas *c);
#endif
