/* eval/http.h – HTTP exchanges, several at a time, on one thread: libcurl behind a few functions.
 *
 * Connections are kept open between calls. HTTP/1.1 only; redirects are not followed; no cookies, no .netrc, no
 * compressed replies (nothing to blow up); certificates are checked against the system's authorities. A proxy of the
 * environment is used, but not for this machine itself. */
#ifndef LB_EVAL_HTTP_H
#define LB_EVAL_HTTP_H
#include "base/err.h"

typedef struct lb_http lb_http;      /* one thread at a time */

typedef struct lb_http_opt {
    int n_parallel;                  /* connections */
    double connect_s, idle_s;        /* to connect; without progress until the call is given up */
    const char *api_key;             /* "Authorization: Bearer …", or NULL; copied */
} lb_http_opt;

typedef enum lb_http_end {
    LB_HTTP_WHOLE,                   /* a reply that is complete by HTTP's own rules, whatever its status */
    LB_HTTP_CONNECT,                 /* no connection: no such host, refused, TLS */
    LB_HTTP_DROPPED,                 /* it ended in the middle */
    LB_HTTP_STALLED,
    LB_HTTP_BROKEN,                  /* not HTTP, or endless headers */
    LB_HTTP_REJECTED                 /* on_bytes wanted no more */
} lb_http_end;

/* What on_bytes thinks of what came. */
typedef enum lb_http_more {
    LB_HTTP_STOP,                    /* drop the connection */
    LB_HTTP_WAIT,                    /* fine, but only a sign of life: the idle clock runs on */
    LB_HTTP_GO
} lb_http_more;

typedef struct lb_http_call {        /* zeroed by its owner, who keeps it where it is until on_end or lb_http_cancel */
    const char *url, *body;          /* body NULL: GET; else POST of JSON. Borrowed until on_end */
    size_t n_body;
    void *user;
    lb_http_more (*on_bytes)(struct lb_http_call *, const char *p, size_t n);
    void (*on_end)(struct lb_http_call *);       /* may start the call again */
    /* what came of it; status also within on_bytes */
    lb_http_end end;
    int status;                      /* 0 if none came */
    double retry_after_s;            /* what the server asks for; 0: nothing */
    char why[256];                   /* of an end that is not whole */
    char location[256];              /* where a redirect points, or "" */
    struct lb_http_flight *flight;   /* NULL unless started; private */
} lb_http_call;

lb_http *lb_http_open(const lb_http_opt *o, lb_err *err);
void lb_http_close(lb_http *h);      /* cancels what is under way; NULL is fine */
bool lb_http_start(lb_http *h, lb_http_call *c, lb_err *err);
void lb_http_cancel(lb_http *h, lb_http_call *c);        /* without on_end; nothing if not started */
/* Waits for bytes, at most wait_s, moves them, and ends what ended. */
bool lb_http_poll(lb_http *h, double wait_s, lb_err *err);
#endif
