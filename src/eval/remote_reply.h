/* eval/remote_reply.h – the bytes of one reply into its text: server-sent events, or one JSON document.
 *
 * Which of them it is the first byte tells, whatever was asked for. The result does not depend on how the bytes are
 * split, and memory is bounded by max_bytes. No network in here: tests and the fuzzer feed it. */
#ifndef LB_EVAL_REMOTE_REPLY_H
#define LB_EVAL_REMOTE_REPLY_H
#include "base/buf.h"
#include "eval/remote.h"

typedef struct lb_remote_parse {
    lb_buf reasoning, content;       /* owned, as the rest */
    lb_buf line, data;               /* of an event stream: the line and the event that are not over yet */
    lb_buf body;                     /* of a JSON document */
    char head[81];                   /* how it began, for messages */
    size_t n_bytes, max_bytes, n_head;
    enum { LB_REPLY_UNKNOWN, LB_REPLY_EVENTS, LB_REPLY_JSON } form;
    enum { LB_REPLY_OPEN, LB_REPLY_STOP, LB_REPLY_LENGTH, LB_REPLY_FILTER } finish;
    bool has_content;                /* a content that is text, even an empty one */
    bool over, after_cr;             /* [DONE] was read; the last byte was a CR */
    int64_t n_tokens;                /* as counted by the server; −1: not counted */
    size_t n_pieces, n_events;
    lb_remote_fault fault;
    char why[400];                   /* of a fault */
} lb_remote_parse;

void lb_remote_parse_init(lb_remote_parse *p, size_t max_bytes);
void lb_remote_parse_free(lb_remote_parse *p);
/* False once there is a fault: the rest need not come. *progress (optional) is set if more came than signs of life. */
bool lb_remote_parse_feed(lb_remote_parse *p, const char *bytes, size_t n, bool *progress);
/* The reply is over. LB_REMOTE_OK fills *out, whose text the caller frees; any other fault leaves it alone, with
 * p->why. */
lb_remote_fault lb_remote_parse_end(lb_remote_parse *p, lb_remote_reply *out);
#endif
