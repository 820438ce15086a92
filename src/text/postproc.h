/* text/postproc.h – what the post-processor of a tokenizer puts before and behind the text: BOS, seldom EOS.
 *
 * One TemplateProcessing (its "single" template), ByteLevel (which moves offsets only) and a Sequence of these;
 * anything else is an error that names it. */
#ifndef LB_TEXT_POSTPROC_H
#define LB_TEXT_POSTPROC_H
#include "text/bpe.h"

typedef struct lb_postproc {
    lb_ids before, behind;   /* owned */
} lb_postproc;

/* Reads the "post_processor" (NULL or null: nothing is put). Ids must be below n_ids. */
bool lb_postproc_load(lb_postproc *p, const json_t *post_processor, int n_ids, const char *where, lb_err *err);
void lb_postproc_free(lb_postproc *p);
#endif
