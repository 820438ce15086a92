/* base/progress.h – one line on stderr: what runs, how far, how fast, how long still.
 *
 * On a terminal the line is redrawn in place; elsewhere a plain line appears every few seconds; as JSON, one object per
 * line. Work that was found finished already (a resume) does not count for the rate. */
#ifndef LB_BASE_PROGRESS_H
#define LB_BASE_PROGRESS_H
#include "base/err.h"

typedef enum lb_progress_mode {
    LB_PROGRESS_AUTO,
    LB_PROGRESS_BAR,
    LB_PROGRESS_PLAIN,
    LB_PROGRESS_JSON,
    LB_PROGRESS_NONE
} lb_progress_mode;

typedef struct lb_progress {
    lb_progress_mode mode;
    char what[160];          /* "w3g128 rtn · chain" */
    const char *unit;        /* "problems": the thing that `done` counts */
    int64_t done, total, reused;
    double tokens;           /* optional second count, shown as tok/s */
    double t0, t_drawn;
    bool drawn;
} lb_progress;

/* "auto", "bar", "plain", "json", "none"; LB_EUSAGE otherwise. */
bool lb_progress_parse(const char *s, lb_progress_mode *mode, lb_err *err);
void lb_progress_start(lb_progress *p, lb_progress_mode mode, const char *unit, int64_t total);
void lb_progress_what(lb_progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void lb_progress_reuse(lb_progress *p, int64_t n);       /* n units were there already */
void lb_progress_add(lb_progress *p, int64_t n, double tokens);
void lb_progress_end(lb_progress *p);                    /* clears the line */
#endif
