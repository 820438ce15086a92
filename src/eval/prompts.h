/* eval/prompts.h – where prompts come from: a JSON-lines file of anybody's, or benchmarks by name.
 *
 * A row of a file has one of
 *
 *     "messages"                          an array of {role, content}: the conversation up to the answer
 *     "prompt", "problem", "question"     the user's turn
 *
 * and perhaps "id" (a string or an integer; "row-7" otherwise) and a solution written by others: "solution" (the
 * reasoning) and "answer". Other keys are ignored. */
#ifndef LB_EVAL_PROMPTS_H
#define LB_EVAL_PROMPTS_H
#include "eval/target.h"

typedef struct lb_prompt {
    char *id;                        /* owned; no two rows have the same */
    char *user;                      /* owned; NULL with messages */
    json_t *messages;                /* owned; NULL with user */
    char *solution, *answer;         /* owned; NULL where the row has none */
    int max_new;                     /* the benchmark's limit; 0 for a file's row */
} lb_prompt;

typedef struct lb_prompts {
    lb_prompt *p;                    /* owned */
    int n;
} lb_prompts;

/* `source` is a file, or a comma list of benchmarks and suites whose files are in data_dir; the first `limit` (> 0)
 * rows of each. LB_EUSAGE if it is neither, LB_EFORMAT naming the line for a row without a prompt or with the id of
 * another. */
bool lb_prompts_load(const char *source, const char *data_dir, int limit, lb_prompts *out, lb_err *err);
void lb_prompts_free(lb_prompts *p);

/* Fills *out from one row (borrowed); `number` names it if it has no id. *found is false for a row without a prompt. */
bool lb_prompt_of_row(const json_t *row, int number, const char *where, lb_prompt *out, bool *found, lb_err *err);
void lb_prompt_free(lb_prompt *p);

/* Appends the text that the model is given: the template's, ready for the answer (the bare user's turn where there is
 * no template); lb_target_encode gives its ids. *in_thinking: it ends inside an open <think>. */
bool lb_prompt_render(const lb_target *t, const lb_prompt *p, const json_t *kwargs, lb_buf *text, bool *in_thinking,
                      lb_err *err);
/* Appends the row's own solution as the model would have written it: <think>, solution, </think>, answer. False
 * without an error message if the row has neither. */
bool lb_prompt_gold(const lb_prompt *p, bool in_thinking, lb_buf *text);
#endif
