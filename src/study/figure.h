/* study/figure.h – a plot with its caption: how each is begun and ended. */
#ifndef LB_STUDY_FIGURE_H
#define LB_STUDY_FIGURE_H
#include "study/plot.h"

typedef struct lb_figure {
    lb_plot plot;
    char caption[700];               /* without the last full stop */
} lb_figure;

#define LB_Z95 1.96                  /* error bars: 95 % */

void lb_figure_start(lb_figure *f, lb_plot_kind kind, const char *name, const char *title, const char *caption);
void lb_figure_axis(lb_plot_axis *a, const char *label, lb_scale scale);
void lb_figure_ticks(lb_plot_axis *a, const double *tick, int n);
/* Says the caption and every series or row to those who do not see it, as far as there is room. False, and then the plot
 * is freed, if there are fewer than `least` points or rows. */
bool lb_figure_end(lb_figure *f, size_t least);
/* More of the caption. */
void lb_figure_say(lb_figure *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The series of this name, made with this ink where there is none. */
int lb_figure_series(lb_figure *f, const char *name, int ink);
/* y with its 95 % interval (half; NaN: none) and "label: y ± error" to hover; more is appended to .tip by lb_tip_add. */
lb_plot_point lb_figure_point(double x, double y, double half, const char *label);
void lb_tip_add(char tip[160], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
