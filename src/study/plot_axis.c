/* study/plot_axis.c – ticks and their texts; the palette. */
#include "study/plot.h"
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
