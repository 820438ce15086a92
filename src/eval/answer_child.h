/* eval/answer_child.h – proofs in a process that can be killed; internal to the grader.
 *
 * Calcium may take any time and memory, and aborts when it runs out. So each thread that needs a proof has a child: the
 * running program again (/proc/self/exe), which a constructor of this library turns into a server before main is reached.
 * It stays for the next proof, and is killed and started anew when one takes too long. A new program image, rather than a
 * fork, is safe beside OpenMP threads and shares no memory with a model that is being written to. A program that loads
 * liblowbit by dlopen has no such image: there every proof is LB_UNKNOWN. */
#ifndef LB_EVAL_ANSWER_CHILD_H
#define LB_EVAL_ANSWER_CHILD_H
#include "eval/answer_tree.h"

enum {
    LB_CHILD_CPU_MS = 400,     /* of one proof */
    LB_CHILD_MIB = 256
};

/* lb_exact_prove in the child of the calling thread. *ms_left: wall time that may pass; what passed is taken off. */
lb_verdict lb_child_prove(lb_operand gold, lb_operand answer, lb_compare how, bool decimal_log, int *ms_left,
                          char why[LB_TREE_WHY]);

/* Ends the child of the calling thread, if there is one. It also ends with the thread, and with the process. */
void lb_child_stop(void);
#endif
