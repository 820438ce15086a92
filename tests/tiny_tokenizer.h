/* tiny_tokenizer.h – a small tokenizer.json for tests: 256 bytes, a few merges, and whatever part a test wants to
 * replace. */
#ifndef LB_TINY_TOKENIZER_H
#define LB_TINY_TOKENIZER_H
#include "base/buf.h"
#include "text/tokenizer.h"
#include <string.h>

typedef struct tiny {             /* NULL or zero: the ordinary thing */
    const char *normalizer, *pre, *post, *decoder, *added, *options, *vocab, *merges;
    const char *more_vocab;       /* entries behind the 256 bytes, ids from 256 */
    int without_byte;             /* leave out this byte; 0 leaves out none (byte 0 is not needed for that) */
} tiny;

#define TINY_BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":false,\"use_regex\":true}"
#define TINY_ADDED(id, content, flags) "{\"id\":" #id ",\"content\":\"" content "\"," flags "}"
#define TINY_FLAGS(single, l, r, norm, spec) \
    "\"single_word\":" #single ",\"lstrip\":" #l ",\"rstrip\":" #r ",\"normalized\":" #norm ",\"special\":" #spec

/* The character that stands for a byte in tokenizer files. */
static inline uint32_t tiny_alphabet(int byte)
{
    int n = 0;
    for (int b = 0; b < 256; b++) {
        bool plain = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xff && b != 0xad);
        if (b == byte) return plain ? (uint32_t)b : (uint32_t)(0x100 + n);
        n += !plain;
    }
    return 0;
}

static inline lb_buf tiny_json(tiny t)
{
    lb_buf b = {0};
    lb_buf_fmt(&b, "{\"version\":\"1.0\",\"added_tokens\":[%s],\"normalizer\":%s,", t.added ? t.added : "",
               t.normalizer ? t.normalizer : "null");
    lb_buf_fmt(&b, "\"pre_tokenizer\":%s,\"post_processor\":%s,", t.pre ? t.pre : TINY_BYTE_LEVEL,
               t.post ? t.post : "null");
    lb_buf_fmt(&b, "\"decoder\":%s,\"model\":{%s", t.decoder ? t.decoder : "{\"type\":\"ByteLevel\"}",
               t.options ? t.options : "\"type\":\"BPE\"");
    if (t.vocab) {
        lb_buf_fmt(&b, ",\"vocab\":%s", t.vocab);
    } else {
        lb_buf_str(&b, ",\"vocab\":{");
        for (int i = 0; i < 256; i++) {
            uint32_t c = tiny_alphabet(i);
            if (i && i == t.without_byte) continue;
            if (i) lb_buf_byte(&b, ',');
            lb_buf_str(&b, c == '"' || c == '\\' ? "\"\\" : "\"");
            lb_buf_utf8(&b, c);
            lb_buf_fmt(&b, "\":%d", i);
        }
        lb_buf_fmt(&b, "%s}", t.more_vocab ? t.more_vocab : ",\"th\":256,\"the\":257,\"Ġt\":258");
    }
    lb_buf_fmt(&b, ",\"merges\":%s}}",
               t.merges                  ? t.merges
               : t.more_vocab || t.vocab ? "[]"
                                         : "[[\"t\",\"h\"],[\"th\",\"e\"],[\"Ġ\",\"t\"]]");
    return b;
}

static inline lb_tokenizer *tiny_open(tiny t, lb_err *err)
{
    lb_buf b = tiny_json(t);
    lb_tokenizer *tok = lb_tokenizer_parse(lb_buf_cstr(&b), b.n, "tiny", err);
    lb_buf_free(&b);
    return tok;
}
#endif
