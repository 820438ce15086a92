/* tokenizer.c – fuzz target. The first byte says what the rest is: odd, a tokenizer.json, which then encodes a fixed
 * text and itself; even, a text for the tokenizer of abacus, with the flags of the encoder in its next bits. What is
 * encoded is decoded whole and in a stream, and both must agree. */
#include "text/tokenizer.h"
#include "text/utf8.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void round_trip(const lb_tokenizer *t, const char *text, size_t n, unsigned flags)
{
    lb_ids ids = {0};
    lb_buf whole = {0}, stream = {0};
    lb_detok d;
    if (lb_tokenizer_encode(t, text, n, flags, &ids, NULL)) {
        bool skip = flags & 4;
        if (!lb_tokenizer_decode(t, ids.p, ids.n, skip, &whole, NULL)) abort();
        lb_detok_init(&d, t, skip);
        for (size_t i = 0; i < ids.n; i++) {
            if (ids.p[i] < 0 || ids.p[i] >= lb_tokenizer_size(t)) abort();
            lb_detok_push(&d, ids.p[i], &stream);
        }
        lb_detok_end(&d, &stream);
        if (whole.n != stream.n || (whole.n && memcmp(whole.p, stream.p, whole.n) != 0) ||
            !lb_utf8_valid(lb_buf_cstr(&whole), whole.n))
            abort();
    }
    lb_ids_free(&ids);
    lb_buf_free(&whole);
    lb_buf_free(&stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lb_tokenizer *abacus;
    if (!size) return 0;
    const char *rest = (const char *)data + 1;
    if (data[0] & 1) {
        lb_err err = {0};
        lb_tokenizer *t = lb_tokenizer_parse(rest, size - 1, "fuzz", &err);
        if (!t && !err.code) abort();
        if (!t) return 0;
        static const char text[] = "The caf\xc3\xa9's <x> e\xcc\x81 1234\xe2\x80\x83\xf0\x9f\xab\xa8--A_b.;\n\n  x\xff";
        round_trip(t, text, sizeof text - 1, LB_ENCODE_SPECIAL | LB_ENCODE_BOS);
        round_trip(t, rest, size - 1 < 4096 ? size - 1 : 4096, 4 | LB_ENCODE_SPECIAL);
        lb_tokenizer_close(t);
        return 0;
    }
    if (!abacus && !(abacus = lb_tokenizer_open("models/abacus-5m", NULL))) abort();
    round_trip(abacus, rest, size - 1, data[0] >> 1 & 7);
    return 0;
}
#include "fuzz/replay.inc"
