/* base/progress.c – the progress line. The only file below cli/ that writes to stderr, and only when a caller made a
 * progress object for it. */
#include "base/progress.h"
#include "base/cpu.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double BAR_EVERY_S = 0.1, PLAIN_EVERY_S = 5;

bool lb_progress_parse(const char *s, lb_progress_mode *mode, lb_err *err)
{
    static const char *const names[] = {"auto", "bar", "plain", "json", "none"};
    for (int i = 0; i < 5; i++) {
        if (strcmp(s, names[i]) != 0) continue;
        *mode = (lb_progress_mode)i;
        return true;
    }
    return lb_fail(err, LB_EUSAGE, "--progress=%s is unknown; there are auto, bar, plain, json and none", s);
}

void lb_progress_start(lb_progress *p, lb_progress_mode mode, const char *unit, int64_t total)
{
    memset(p, 0, sizeof *p);
    if (mode == LB_PROGRESS_AUTO) {
        const char *term = getenv("TERM");
        mode = isatty(2) && !(term && strcmp(term, "dumb") == 0) ? LB_PROGRESS_BAR : LB_PROGRESS_PLAIN;
    }
    p->mode = mode;
    p->unit = unit;
    p->total = total;
    p->t0 = p->t_drawn = lb_now_s();
}

static void clock_text(double s, char out[16])
{
    int t = s > 359999 ? 359999 : (int)(s + 0.5);
    if (t >= 3600) snprintf(out, 16, "%d:%02d:%02d", t / 3600, t / 60 % 60, t % 60);
    else snprintf(out, 16, "%d:%02d", t / 60, t % 60);
}

static void draw(lb_progress *p, bool force)
{
    if (p->mode == LB_PROGRESS_NONE || p->total <= 0) return;
    double now = lb_now_s(), every = p->mode == LB_PROGRESS_BAR ? BAR_EVERY_S : PLAIN_EVERY_S;
    if (!force && now - p->t_drawn < every) return;
    p->t_drawn = now;
    double el = now - p->t0, fresh = (double)(p->done - p->reused);
    double rate = el > 0 ? fresh / el : 0, left = rate > 0 ? (double)(p->total - p->done) / rate : -1;
    char t_el[16], t_left[16] = "?", tok[32] = "";
    clock_text(el, t_el);
    if (left >= 0) clock_text(left, t_left);
    if (p->tokens > 0 && el > 0) snprintf(tok, sizeof tok, " · %.0f tok/s", p->tokens / el);
    if (p->mode == LB_PROGRESS_JSON) {
        fprintf(stderr,
                "{\"what\": \"%s\", \"done\": %lld, \"total\": %lld, \"elapsed_s\": %.1f, \"left_s\": %.1f, "
                "\"tokens_per_s\": %.1f}\n",
                p->what, (long long)p->done, (long long)p->total, el, left, el > 0 ? p->tokens / el : 0);
    } else if (p->mode == LB_PROGRESS_PLAIN) {
        fprintf(stderr, "%s: %lld/%lld %s, %.1f/s%s, %s elapsed, %s left\n", p->what, (long long)p->done,
                (long long)p->total, p->unit, rate, tok, t_el, t_left);
    } else {
        int width = 24, full = (int)((double)width * (double)p->done / (double)p->total);
        char bar[25];
        for (int i = 0; i < width; i++) bar[i] = i < full ? '#' : '-';
        bar[width] = 0;
        fprintf(stderr, "\r\033[K%s [%s] %lld/%lld %s · %.1f/s%s · %s · %s left", p->what, bar, (long long)p->done,
                (long long)p->total, p->unit, rate, tok, t_el, t_left);
        p->drawn = true;
    }
    fflush(stderr);
}

void lb_progress_what(lb_progress *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->what, sizeof p->what, fmt, ap);
    va_end(ap);
    draw(p, p->mode == LB_PROGRESS_BAR);
}

void lb_progress_reuse(lb_progress *p, int64_t n)
{
    p->done += n;
    p->reused += n;
}

void lb_progress_add(lb_progress *p, int64_t n, double tokens)
{
    p->done += n;
    p->tokens += tokens;
    draw(p, false);
}

void lb_progress_end(lb_progress *p)
{
    if (p->mode == LB_PROGRESS_BAR && p->drawn) fprintf(stderr, "\r\033[K");
    p->drawn = false;
}
