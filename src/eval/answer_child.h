/* eval/answer_child.h – proofs in a process that can be killed; internal to the grader.
 *
 * Calcium may take any time and memory, and aborts when it runs out. So each thread that needs a proof has a child: the
 * running program again (/proc/self/exe), which a constructor of this library turns into a server before main is
 * reached. It stays for the next proof, and is killed and started anew when one takes too long. A new program image,
 * rather than a fork, is safe beside OpenMP threads and shares no memory with a model that is being written to. A
 * program that loads liblowbit by dlopen has no such image: there every proof is LB_UNKNOWN. */
#ifndef LB_EVAL_ANSWER_CHILD_H
#define LB_EVAL_ANSWER_CHILD_H
#include "eval/answer_tree.h"

enum {
    LB_CHILD_CPU_MS = 400,     /* of one proof; processor time, so that verdicts do not depend on the machine's load */
    LB_CHILD_WALL_MS = 10000,  /* only a machine that gives the child no processor gets there */
    LB_CHILD_MIB = 256
};

/* lb_exact_prove in the child of the calling thread. *ms_left: processor time that proofs may still take; what this one
 * took is taken off. */
lb_verdict lb_child_prove(lb_operand gold, lb_operand answer, lb_compare how, bool decimal_log, int *ms_left,
                          char why[LB_TREE_WHY]);

/* From now on the end of the calling thread ends its child and frees what the libraries keep for it. Cheap. */
void lb_child_attach(void);
/* The same at once. A child also ends with the process. */
void lb_child_stop(void);
#endif
