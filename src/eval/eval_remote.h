/* eval/eval_remote.h – a model behind a server as the subject of an evaluation. */
#ifndef LB_EVAL_EVAL_REMOTE_H
#define LB_EVAL_EVAL_REMOTE_H
#include "eval/remote.h"
#include "eval/subject.h"

typedef struct lb_served {
    lb_subject s;
    lb_remote *r;                    /* borrowed */
    json_t *about;                   /* owned */
    lb_remote_report report;         /* of everything that was asked so far */
} lb_served;

/* ex: threads for judging. The result borrows both and itself: keep all three until the evaluation is over. */
bool lb_subject_remote(lb_served *out, lb_remote *r, lb_exec *ex, lb_err *err);
void lb_subject_remote_close(lb_served *s);
/* What is asked for where the user says nothing, since a server does not tell how its model's makers sample it: the
 * studies' temperature 0.6 and top-p 0.95, no other filter. */
lb_sampling lb_served_sampling(void);
#endif
