/* text/tokenizer_impl.h – the parts of an lb_tokenizer, for the files that make it up. */
#ifndef LB_TEXT_TOKENIZER_IMPL_H
#define LB_TEXT_TOKENIZER_IMPL_H
#include "text/added.h"
#include "text/postproc.h"
#include "text/pretok.h"
#include "text/tokenizer.h"

struct lb_tokenizer {
    lb_bpe *bpe;             /* owned */
    lb_added *added;         /* owned */
    lb_pretok *pretok;       /* owned */
    lb_postproc post;        /* owned */
    bool nfc;
    int n_ids;
};
#endif
