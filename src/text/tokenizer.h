/* text/tokenizer.h – text to token ids and back, as a Hugging Face tokenizer.json says.
 *
 * Byte-level BPE: what Qwen 2/3/3.5, QwQ, Llama 3, DeepSeek V3/R1 and the R1 distillations use. Ids equal those of the
 * tokenizers package (0.23). A component that is not known is an error that names it. Text that is not valid UTF-8 is
 * read with each ill-formed part as U+FFFD (text/utf8.h). "truncation" and "padding" of the file are not applied:
 * lowbit never shortens a text silently.
 *
 * Source: the file format and behaviour of github.com/huggingface/tokenizers. */
#ifndef LB_TEXT_TOKENIZER_H
#define LB_TEXT_TOKENIZER_H
#include "text/bpe.h"

typedef struct lb_tokenizer lb_tokenizer;     /* opaque; read-only once open, then safe to share between threads */

/* Reads model_dir/tokenizer.json. LB_EFORMAT for a broken or contradictory file, LB_EUNSUPPORTED for a component by
 * name. */
lb_tokenizer *lb_tokenizer_open(const char *model_dir, lb_err *err);
/* The same from memory; `where` names it in messages. */
lb_tokenizer *lb_tokenizer_parse(const char *json, size_t n, const char *where, lb_err *err);
void lb_tokenizer_close(lb_tokenizer *t);

enum {
    LB_ENCODE_SPECIAL = 1,   /* added tokens in the text become their ids; without it they are plain text */
    LB_ENCODE_BOS = 2,       /* run the post-processor, which adds BOS where the model has it */
};

/* Appends the ids of text[0,n) to *out. On failure *out holds what it held before. Fails for lack of memory, and for a
 * text on which an unusual pre-tokenizer pattern takes too long (text/pattern.h). */
bool lb_tokenizer_encode(const lb_tokenizer *t, const char *text, size_t n, unsigned flags, lb_ids *out, lb_err *err);

/* Appends the text of n ids; bytes that are no UTF-8 become U+FFFD. Ids that the tokenizer does not have (a model's
 * padded embedding rows) are empty. skip_special leaves out the special added tokens: <|im_end|>, but not <think>. */
bool lb_tokenizer_decode(const lb_tokenizer *t, const int *ids, size_t n, bool skip_special, lb_buf *out, lb_err *err);

/* The id of an added token or a vocabulary entry in the spelling of the file ("Ġthe"), or -1. */
int lb_tokenizer_id(const lb_tokenizer *t, const char *piece);
int lb_tokenizer_size(const lb_tokenizer *t);                    /* 1 + highest id */
bool lb_tokenizer_is_special(const lb_tokenizer *t, int id);     /* skip_special leaves it out */

/* Decoding as ids arrive. Everything that push and end append, joined, is what lb_tokenizer_decode gives for all ids;
 * at no time is half a character given out. Memory the caller owns; nothing to free. */
typedef struct lb_detok {
    const lb_tokenizer *t;   /* borrowed */
    bool skip_special;
    unsigned char held[4];   /* the beginning of a character */
    int n_held;
} lb_detok;

void lb_detok_init(lb_detok *d, const lb_tokenizer *t, bool skip_special);
void lb_detok_push(lb_detok *d, int id, lb_buf *out);            /* lack of memory shows in out->oom */
void lb_detok_end(lb_detok *d, lb_buf *out); /* what is held becomes U+FFFD; ready for the next text */
#endif
