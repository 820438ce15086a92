/* study/plot_layout.h – what both kinds of plots are laid out with. Internal to study/. */
#ifndef LB_STUDY_PLOT_LAYOUT_H
#define LB_STUDY_PLOT_LAYOUT_H
#include "study/plot.h"

enum { LB_PLOT_TEXT = 12 };      /* size of text in pixels, the same at every width */

typedef struct lb_axis {
    const lb_plot_axis *a;
    double lo, hi;               /* after scaling */
    double px0, px1;             /* where they lie */
    double tick[LB_PLOT_MAX_TICK], step;
    int n_tick;
} lb_axis;

/* The axis for data in [lo,hi] (NaN: none): a margin of 4 %, and at most max_n ticks. px0 and px1 are the caller's. */
void lb_axis_set(lb_axis *x, const lb_plot_axis *a, double lo, double hi, int max_n);
double lb_axis_at(const lb_axis *x, double v); /* where v lies, in pixels; NaN if the scale has no place for it */
void lb_axis_text(const lb_axis *x, int i, char out[32]);    /* of tick i */
void lb_widen(double *lo, double *hi, double v);             /* takes v into the range, if it is finite */

/* An estimate that errs to the wide side for the sans-serif faces of browsers and of cairo. */
double lb_text_width(const char *s, double size);
/* s cut to fit, with an ellipsis. */
void lb_text_fit(const char *s, double width, double size, char *out, size_t cap);
void lb_draw_line(lb_canvas *c, double x0, double y0, double x1, double y1, int ink, double width, bool dashed);
static inline double lb_title_height(const lb_canvas *c) { return c->with_title ? LB_PLOT_TEXT + 14 : 0; }

double lb_xy_height(const lb_plot *p, double width);
void lb_xy_draw(const lb_plot *p, lb_canvas *c);
double lb_rows_height(const lb_plot *p, double width, double top);
void lb_rows_draw(const lb_plot *p, lb_canvas *c);
#endif
