/* eval/remote_impl.h – what remote.c (who answers) and remote_run.c (what it is asked) share. */
#ifndef LB_EVAL_REMOTE_IMPL_H
#define LB_EVAL_REMOTE_IMPL_H
#include "base/buf.h"
#include "eval/http.h"
#include "eval/remote_fields.h"

struct lb_remote {
    lb_remote_opt o;             /* defaults filled in; its text is not kept */
    char *base, *root, *chat;    /* ".../v1", the same without /v1, ".../v1/chat/completions"; owned, as the rest */
    char *model, *key;           /* key: NULL without one; kept to be taken out of what the server says */
    json_t *about;
    char hash[33];
    lb_http *http;
    lb_remote_fields fields;     /* learned, for all runs */
};

/* True, with LB_ESTOPPED, if the user wants to stop. */
bool lb_remote_stopped(const lb_remote *r, const volatile sig_atomic_t *stop, lb_err *err);
/* How long to wait before try number `tries` + 1: doubling, with jitter that is a function of (who, tries). */
double lb_remote_wait_s(const lb_remote_opt *o, uint64_t who, int tries);
/* Overwrites every copy of the key in text, since some servers show it in their errors. */
void lb_remote_hide_key(const lb_remote *r, char *text);
/* The fault of a call that is not a whole 2xx reply, its text [cap] in why. `body` is the reply's. */
lb_remote_fault lb_remote_call_fault(const lb_remote *r, const lb_http_call *c, const lb_buf *body, char *why,
                                     size_t cap);
#endif
