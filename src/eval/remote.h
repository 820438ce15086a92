/* eval/remote.h – a model behind an OpenAI-compatible server: many prompts at once, through every fault of a network.
 *
 * One request is one POST of /v1/chat/completions with a single user turn, streamed where the server can. A fault that
 * may pass (nobody answers, a dropped or silent connection, a broken reply, 429, 5xx) is tried again after a wait that
 * doubles and is shared by all connections where the server as a whole is to blame; one that will not pass fails the
 * request, or the run. A failed request has no reply: nothing of it can be mistaken for an answer. docs/server.md has
 * the rules. */
#ifndef LB_EVAL_REMOTE_H
#define LB_EVAL_REMOTE_H
#include "base/hash.h"
#include "base/json.h"
#include "infer/sample.h"
#include <signal.h>

typedef struct lb_remote lb_remote;  /* one thread at a time */

typedef struct lb_remote_opt {       /* zero means default in every field but url */
    const char *url;                 /* "http://host:8000", with or without /v1; all text is borrowed for the call */
    const char *model;               /* as the server names it; NULL: the only one that it has */
    const char *api_key;             /* sent as a bearer token; NULL: none. Never shown, stored or hashed */
    int n_parallel;                  /* requests in flight (default 16) */
    double connect_s;                /* to connect (default 10) */
    double timeout_s;                /* no byte for so long is a stall (default 600) */
    int max_retries;                 /* of one request (default 6); −1: none */
    double backoff_s, backoff_max_s; /* the first wait, doubled at each retry, and the longest (defaults 1, 60) */
    double retry_after_max_s;        /* a server that asks for a longer pause stops the run (default 900) */
    int max_failed;                  /* so many failed requests in a row stop the run (default 8) */
    size_t max_reply_bytes;          /* (default 64 MiB) */
    volatile sig_atomic_t *stop;     /* set by a signal handler: end with LB_ESTOPPED within a fraction of a second */
} lb_remote_opt;

/* Asks /v1/models for the model, and /version and /props for what serves it. LB_EUSAGE for a URL or key that cannot be
 * right, LB_EIO if nobody answers or the server refuses, LB_EFORMAT if it does not speak this protocol; the messages
 * name the URL and, if the model is not there, those that are. */
lb_remote *lb_remote_open(const lb_remote_opt *o, lb_err *err);
void lb_remote_close(lb_remote *r);  /* NULL is fine */

const char *lb_remote_name(const lb_remote *r);  /* of the model, as the server has it */
/* Identity of what answers (32 hex digits), for the key of results: URL, model, the lasting part of its entry in
 * /v1/models, version of the server, template. Not what changes from one start to the next. */
const char *lb_remote_hash(const lb_remote *r);
/* {"url", "model", "entry": {…}, "version", …}: what lb_remote_hash is made of; a new reference, or NULL without
 * memory. */
json_t *lb_remote_about(const lb_remote *r);
/* Identity of a prompt: what is sent, since the rendered text is the server's business. */
lb_hash lb_remote_prompt_hash(const char *user, const json_t *template_kwargs);
/* The seed to send for one sample: the seed itself for the first sample of a problem, then numbers drawn from both.
 * Servers give the same text for the same prompt and seed, so that samples need different ones. 0 … 2^31 − 1. */
int64_t lb_remote_seed(int64_t seed, int64_t sample);

typedef struct lb_remote_reply {
    char *text;                      /* "<think>reasoning</think>answer" where the server splits it, else as it came. An
                                        on_done may take it over by setting it to NULL */
    int n_tokens;
    bool tokens_estimated;           /* the server does not count: n_tokens is the number of pieces that came */
    bool truncated;                  /* ended by max_new */
} lb_remote_reply;

/* What can go wrong with a try. */
typedef enum lb_remote_fault {
    LB_REMOTE_OK,
    LB_REMOTE_CONNECT,               /* nobody answers, no such host, TLS refused */
    LB_REMOTE_DROPPED,               /* the connection ended before the reply was whole */
    LB_REMOTE_STALLED,               /* no byte for timeout_s */
    LB_REMOTE_BROKEN,                /* not JSON, not UTF-8, wrong types, not the protocol */
    LB_REMOTE_TOO_LARGE,             /* longer than max_reply_bytes; not tried again */
    LB_REMOTE_BUSY,                  /* 429, 503, 529 */
    LB_REMOTE_SERVER,                /* other 5xx, or an error in the stream */
    LB_REMOTE_REFUSED,               /* 400 and other 4xx; not tried again */
    LB_REMOTE_CONTEXT,               /* prompt and max_new do not fit; not tried again */
    LB_REMOTE_FILTERED,              /* finish_reason content_filter; not tried again */
    LB_REMOTE_N_FAULT
} lb_remote_fault;

const char *lb_remote_fault_name(lb_remote_fault f);      /* "connect", "dropped", … */

typedef struct lb_remote_request {
    const char *user;                /* UTF-8; borrowed until the run is over */
    const json_t *template_kwargs;   /* {"enable_thinking": …}, or NULL; borrowed likewise */
    lb_sampling sampling;
    int max_new;                     /* most tokens of the reply, > 0 */
    int64_t seed;
    void *user_data;
    bool (*wanted)(struct lb_remote_request *);  /* right before it is sent first; false: leave it out. NULL: all are */
    void (*on_done)(struct lb_remote_request *, lb_remote_reply *);      /* once, when the reply is whole */
    /* or when it failed for good; may be NULL */
    void (*on_failed)(struct lb_remote_request *, lb_remote_fault, const char *why);
} lb_remote_request;

typedef struct lb_remote_report {
    size_t n_done, n_failed;         /* requests; the rest was left out or not reached */
    size_t n_tries, n_429;
    size_t tried[LB_REMOTE_N_FAULT];     /* tries that ended so */
    size_t failed[LB_REMOTE_N_FAULT];    /* requests that failed for good, by their last fault */
    size_t n_estimated;              /* replies whose tokens were not counted by the server */
    int n_parallel;                  /* most in flight at the end, lowered by 429 */
    size_t first_failed;             /* its number in the list, if n_failed */
    char first[512];                 /* why it failed, "" if none did */
    char remarks[512];               /* what the server would not take and is not sent, "" if nothing */
} lb_remote_report;

/* Adds the counts of a later run; the first failure stays. */
void lb_remote_report_add(lb_remote_report *sum, const lb_remote_report *r);
/* "3 of 20 requests failed (2 stalled, 1 refused): …" and the like in one line; "" if all went well at the first try.
 */
void lb_remote_report_text(const lb_remote_report *r, char *out, size_t cap);
json_t *lb_remote_report_json(const lb_remote_report *r);     /* a new reference, or NULL without memory */

typedef struct lb_remote_run_opt {
    const bool *failed;              /* set by a call-back that failed: stop, and return false without a message */
    volatile sig_atomic_t *stop;     /* as in lb_remote_opt */
} lb_remote_run_opt;

/* Sends the requests in order, n_parallel at a time, and calls each one's on_done as its reply is whole. True if every
 * request was answered or failed for good (the report counts them). False: LB_ESTOPPED; LB_EIO when max_failed in a row
 * failed, the server wants a key, or does not know the path or model; LB_EUNSUPPORTED if it refuses a field that the
 * result depends on; LB_ENOMEM. What was answered before has had its on_done, whatever comes after. */
bool lb_remote_run(lb_remote *r, lb_remote_request *const *list, size_t n, const lb_remote_run_opt *o,
                   lb_remote_report *report, lb_err *err);
#endif
