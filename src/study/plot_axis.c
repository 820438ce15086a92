/* study/plot_axis.c – ticks and their texts, axes, widths of texts; the palette. */
#include "study/plot_layout.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Okabe and Ito's order of hues (blue, vermillion, green, purple, ochre, sky, grey), which colour-blind readers tell
 * apart, darkened for white and lightened for dark pages until each has its contrast. */
const lb_palette lb_palette_light = {0xffffff, 0x1b1f24, 0x57606a, 0xd8dde3,
                                     {0x0066a8, 0xc24e00, 0x007a5c, 0xa03c80, 0x7d6200, 0x4a56d0, 0x5f6670}};
const lb_palette lb_palette_dark = {0x14171b, 0xe9edf1, 0xa4adb8, 0x343b44,
                                    {0x5bb8f0, 0xff9752, 0x35cfa3, 0xea96cb, 0xe0c843, 0xa9b0ff, 0xaab2bd}};

int lb_ticks(double lo, double hi, int max_n, double *out, double *step)
{
    *step = 0;
    if (max_n > LB_PLOT_MAX_TICK) max_n = LB_PLOT_MAX_TICK;
    if (!isfinite(lo) || !isfinite(hi) || max_n < 1) return 0;
    double span = hi - lo, most = fmax(fabs(lo), fabs(hi));
    if (!(span > most * 1e-12) || !isfinite(span)) return 0;
    double power = pow(10, floor(log10(span / max_n)));
    static const double nice[] = {1, 2, 5, 10, 20, 50};
    for (size_t i = 0; i < sizeof nice / sizeof *nice; i++) {
        double s = nice[i] * power, first = ceil(lo / s - 1e-9), last = floor(hi / s + 1e-9);
        if (!(s > 0) || last - first + 1 > max_n) continue;
        int n = 0;
        for (double k = first; k <= last; k++) out[n++] = k == 0 ? 0 : k * s; /* no −0 */
        *step = s;
        return n;
    }
    return 0;
}

int lb_ticks_log(double lo, double hi, int max_n, double *out)
{
    if (!(lo > 0) || !(hi > lo) || !isfinite(hi)) return 0;
    if (max_n > LB_PLOT_MAX_TICK) max_n = LB_PLOT_MAX_TICK;
    double first = ceil(log10(lo) - 1e-9), last = floor(log10(hi) + 1e-9);
    bool fine = last - first + 1 < 3;
    int every = max_n < 1 ? 1 : (int)((last - first) / max_n) + 1, n = 0;
    static const double steps[] = {1, 2, 5};
    for (double e = fine ? first - 1 : first; e <= last && n < max_n; e += fine ? 1 : every)
        for (int i = 0; i < (fine ? 3 : 1) && n < max_n; i++) {
            double v = steps[i] * pow(10, e);
            if (v >= lo * (1 - 1e-9) && v <= hi * (1 + 1e-9)) out[n++] = v;
        }
    return n;
}

/* 12345 as "12,345". */
static void thousands(char *s)
{
    size_t n = strlen(s), digits = strcspn(s, ".");
    size_t first = s[0] == '-';
    for (size_t at = digits; at > first + 3 && n < 30;) {
        at -= 3;
        memmove(s + at + 1, s + at, n - at + 1);
        s[at] = ',';
        n++;
    }
}

/* "10⁻⁵", "2×10⁻⁵": 1, 2 … 9 times a power of ten that is far from 1. */
static bool power_of_ten(double v, char out[32])
{
    static const char *const digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    if (!(v > 0)) return false;
    double e = floor(log10(v) + 1e-9), m = v / pow(10, e);
    if (fabs(m - round(m)) > 1e-6 || fabs(e) < 4 || fabs(e) > 99) return false;
    int k = (int)fabs(e);
    char times[8] = "";
    if (round(m) > 1) snprintf(times, sizeof times, "%d×", (int)round(m));
    snprintf(out, 32, "%s10%s%s%s", times, e < 0 ? "⁻" : "", k >= 10 ? digits[k / 10] : "", digits[k % 10]);
    return true;
}

void lb_tick_text(double v, double step, lb_unit unit, char out[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    if (!isfinite(v)) {
        snprintf(out, 32, "–");
    } else if (unit == LB_UNIT_BYTES) {
        int u = 0;
        for (; fabs(v) >= 999.5 && u < 4; u++) v /= 1000;
        snprintf(out, 32, "%.3g %s", v, units[u]);
    } else if (step > 0) {
        int decimals = (int)ceil(-log10(step) - 1e-9);
        snprintf(out, 32, "%.*f", decimals < 0 ? 0 : decimals > 9 ? 9 : decimals, v);
        thousands(out);
    } else if (!power_of_ten(v, out)) {
        snprintf(out, 32, fabs(v) >= 1e15 || (v != 0 && fabs(v) < 1e-4) ? "%.3g" : "%.10g", v);
        if (!strchr(out, 'e')) thousands(out);
    }
    if (out[0] == '-') { /* a minus, not a hyphen */
        char rest[32];
        snprintf(rest, sizeof rest, "%s", out + 1);
        snprintf(out, 32, "−%.28s", rest);
    }
}

/* ---- axes ---- */

static double scaled(lb_scale s, double v)
{
    if (s == LB_LOG) return v > 0 ? log10(v) : NAN;
    return s == LB_SYMLOG ? copysign(log10(1 + fabs(v)), v) : v;
}

double lb_axis_at(const lb_axis *x, double v)
{
    double t = (scaled(x->a->scale, v) - x->lo) / (x->hi - x->lo);
    if (x->a->reverse) t = 1 - t;
    return x->px0 + t * (x->px1 - x->px0);
}

void lb_widen(double *lo, double *hi, double v)
{
    if (!isfinite(v)) return;
    if (!isfinite(*lo) || v < *lo) *lo = v;
    if (!isfinite(*hi) || v > *hi) *hi = v;
}

void lb_axis_set(lb_axis *x, const lb_plot_axis *a, double lo, double hi, int max_n)
{
    *x = (lb_axis){.a = a};
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
    if (a->scale == LB_LOG && (x->n_tick < 2 || real_hi < 4 * real_lo)) /* narrow */
        x->n_tick = lb_ticks(real_lo, real_hi, max_n, x->tick, &x->step);
}

void lb_axis_text(const lb_axis *x, int i, char out[32]) { lb_tick_text(x->tick[i], x->step, x->a->unit, out); }

/* ---- text ---- */

double lb_text_width(const char *s, double size)
{
    int n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n * size * 0.58;
}

void lb_text_fit(const char *s, double width, double size, char *out, size_t cap)
{
    snprintf(out, cap, "%s", s);
    if (lb_text_width(s, size) <= width) return;
    int room = (int)(width / (size * 0.58)) - 1, n = 0;
    size_t i = 0;
    for (; s[i] && i + 4 < cap; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80 && n++ >= room) break;
    }
    snprintf(out + i, cap - i, "…");
}

void lb_draw_line(lb_canvas *c, double x0, double y0, double x1, double y1, int ink, double width, bool dashed)
{
    double xy[] = {x0, y0, x1, y1};
    c->ops->path(c, xy, 2, ink, width, dashed);
}
