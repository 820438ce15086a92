/* test_tokenizer_prop.c – what holds for any text: decoding in pieces is decoding, encoding loses nothing but the
 * normal form, merging by heap is merging by looking at every pair, NFC is utf8proc's, and threads do not disturb each
 * other. */
#define _POSIX_C_SOURCE 200809L
#include "test.h"
#include "base/file.h"
#include "base/rng.h"
#include "text/nfc.h"
#include "text/tokenizer.h"
#include "text/utf8.h"
#include "tiny_tokenizer.h"
#include <pthread.h>
#include <utf8proc.h>

enum { SEED = 20240601, N_TEXTS = 3000 };

/* ---- random things, all a function of (seed, stream) ---- */

typedef struct dice {
    lb_rng_key key;
    uint64_t at;
} dice;

static dice dice_of(uint64_t stream) { return (dice){lb_rng_key_of(SEED, stream, 0), 0}; }
static uint32_t below(dice *d, uint32_t n) { return (uint32_t)(lb_rng_uniform(d->key, d->at++) * n); }

static uint32_t random_char(dice *d)
{
    static const uint32_t marks[] = {0x300,  0x301,  0x302,  0x304,  0x307,  0x308,  0x316,  0x31b,
                                     0x323,  0x327,  0x328,  0x334,  0x338,  0x345,  0x5b0,  0x64b,
                                     0x651,  0x93c,  0x94d,  0x9be,  0xbbe,  0xdcf,  0x1161, 0x1175,
                                     0x11a8, 0x11c2, 0x3099, 0x309a, 0x200d, 0xfe0f, 0x1d165};
    static const uint32_t from[] = {0x20,   0x41,   0xa0,   0x100,  0x370,  0x590,  0x900,   0x1100,  0x1e00, 0x1f00,
                                    0x2000, 0x2100, 0x3040, 0x4e00, 0xac00, 0xf900, 0x1d15e, 0x1f300, 0x2f800};
    switch (below(d, 6)) {
    case 0: return marks[below(d, sizeof marks / sizeof *marks)];
    case 1: return "aeiouAEOn s\n\t'0<"[below(d, 16)];
    case 2: return below(d, 0x80);
    default: return from[below(d, sizeof from / sizeof *from)] + below(d, 64);
    }
}

static void random_text(dice *d, lb_buf *out, bool broken)
{
    static const char *const bits[] = {"<|im_start|>", "<think>",     "</think>\n\n", "<|endoftext|>",
                                       " the",         "\\boxed{42}", "  ",           "def f(x):\n    return x\n"};
    lb_buf_reset(out);
    for (uint32_t i = below(d, 40); i-- > 0;) {
        uint32_t k = below(d, 12);
        if (k == 0) lb_buf_str(out, bits[below(d, 8)]);
        else if (k == 1 && broken) lb_buf_byte(out, (char)below(d, 256));
        else lb_buf_utf8(out, random_char(d));
    }
    lb_buf_str(out, "");
}

static lb_tokenizer *open_fixture(const char *path)
{
    size_t n;
    lb_err err = {0};
    char *json = lb_file_read(path, 1 << 20, &n, &err);
    assert_ok(json, err);
    lb_tokenizer *t = lb_tokenizer_parse(json, n, path, &err);
    assert_ok(t, err);
    free(json);
    return t;
}

static const char *const fixtures[] = {
    ABACUS_DIR "/tokenizer.json", "tests/golden/data/tokenizer/qwen3.json", "tests/golden/data/tokenizer/llama3.json",
    "tests/golden/data/tokenizer/deepseek.json",
};
enum { N_FIXTURES = sizeof fixtures / sizeof *fixtures };

static void expect_same(const lb_buf *got, const lb_buf *want, const char *what, int i)
{
    if (got->n != want->n || memcmp(lb_buf_cstr(got), lb_buf_cstr(want), want->n) != 0)
        fail_msg("%s, text %d of seed %d: got '%s', wanted '%s'", what, i, SEED, lb_buf_cstr(got), lb_buf_cstr(want));
}

/* ---- properties ---- */

static void streaming_is_decoding(void **state)
{
    (void)state;
    lb_err err = {0};
    for (int f = 0; f < N_FIXTURES; f++) {
        lb_tokenizer *t = open_fixture(fixtures[f]);
        dice d = dice_of((uint64_t)f);
        lb_buf whole = {0}, stream = {0}, text = {0};
        lb_detok k;
        for (int i = 0; i < N_TEXTS; i++) {
            bool skip = i & 1;
            lb_ids ids = {0};
            random_text(&d, &text, true);
            if (i % 3)
                assert_ok(lb_tokenizer_encode(t, lb_buf_cstr(&text), text.n, LB_ENCODE_SPECIAL, &ids, &err), err);
            for (uint32_t j = i % 3 ? 0 : below(&d, 20); j-- > 0;) /* bytes in any order, and ids that nobody has */
                assert_true(lb_ids_push(&ids, (int)below(&d, j & 1 ? 256 : (uint32_t)lb_tokenizer_size(t) + 3), &err));
            lb_buf_reset(&whole);
            lb_buf_reset(&stream);
            assert_ok(lb_tokenizer_decode(t, ids.p, ids.n, skip, &whole, &err), err);
            lb_detok_init(&k, t, skip);
            for (size_t j = 0; j < ids.n; j++) {
                lb_detok_push(&k, ids.p[j], &stream);
                if (!lb_utf8_valid(lb_buf_cstr(&stream), stream.n))
                    fail_msg("text %d: half a character after id %zu", i, j);
            }
            lb_detok_end(&k, &stream);
            expect_same(&stream, &whole, fixtures[f], i);
            lb_ids_free(&ids);
        }
        lb_buf_free(&whole);
        lb_buf_free(&stream);
        lb_buf_free(&text);
        lb_tokenizer_close(t);
    }
}

static void encoding_keeps_the_normal_form(void **state)
{
    (void)state;
    lb_err err = {0};
    for (int f = 0; f < N_FIXTURES; f++) {
        lb_tokenizer *t = open_fixture(fixtures[f]);
        bool nfc = f < 2; /* abacus and qwen3 normalize, llama3 and deepseek do not */
        dice d = dice_of(100 + (uint64_t)f);
        lb_buf text = {0}, want = {0}, back = {0};
        for (int i = 0; i < N_TEXTS; i++) {
            lb_ids ids = {0}, again = {0};
            random_text(&d, &text, false);
            lb_buf_reset(&want);
            lb_buf_reset(&back);
            if (nfc) assert_ok(lb_nfc(lb_buf_cstr(&text), text.n, &want, &err), err);
            else lb_buf_add(&want, text.p, text.n);
            assert_ok(lb_tokenizer_encode(t, lb_buf_cstr(&text), text.n, 0, &ids, &err), err);
            assert_ok(lb_tokenizer_decode(t, ids.p, ids.n, false, &back, &err), err);
            expect_same(&back, &want, fixtures[f], i);
            assert_ok(lb_tokenizer_encode(t, lb_buf_cstr(&want), want.n, 0, &again, &err), err);
            assert_int_equal(again.n, ids.n);
            if (ids.n) assert_memory_equal(again.p, ids.p, ids.n * sizeof *ids.p);
            lb_ids_free(&ids);
            lb_ids_free(&again);
        }
        lb_buf_free(&text);
        lb_buf_free(&want);
        lb_buf_free(&back);
        lb_tokenizer_close(t);
    }
}

static void nfc_is_what_utf8proc_says(void **state)
{
    (void)state;
    lb_err err = {0};
    dice d = dice_of(200);
    lb_buf text = {0}, got = {0}, twice = {0};
    for (int i = 0; i < 5 * N_TEXTS; i++) {
        random_text(&d, &text, false);
        if (memchr(lb_buf_cstr(&text), 0, text.n)) continue;
        lb_buf_reset(&got);
        lb_buf_reset(&twice);
        assert_ok(lb_nfc(lb_buf_cstr(&text), text.n, &got, &err), err);
        char *other = (char *)utf8proc_NFC((const utf8proc_uint8_t *)lb_buf_cstr(&text));
        lb_buf want = {.p = other, .n = strlen(other)};
        expect_same(&got, &want, "NFC", i);
        free(other);
        assert_ok(lb_nfc(lb_buf_cstr(&got), got.n, &twice, &err), err);
        expect_same(&twice, &got, "NFC twice", i);
        if (lb_nfc_inert(lb_buf_cstr(&text), text.n)) expect_same(&got, &text, "inert", i);
    }
    lb_buf_free(&text);
    lb_buf_free(&got);
    lb_buf_free(&twice);
}

/* Merging as the definition has it: the adjacent pair of lowest rank, leftmost first, until none is left. */
typedef struct rule {
    char left[16], right[16], whole[32];
} rule;

static size_t merge_slowly(const rule *rules, int n_rules, char piece[][32], size_t n)
{
    for (;;) {
        int best = n_rules;
        size_t where = 0;
        for (size_t i = 0; i + 1 < n; i++)
            for (int r = 0; r < best; r++)
                if (!strcmp(rules[r].left, piece[i]) && !strcmp(rules[r].right, piece[i + 1])) best = r, where = i;
        if (best == n_rules) return n;
        strcpy(piece[where], rules[best].whole);
        memmove(piece + where + 1, piece + where + 2, (n - where - 2) * sizeof *piece);
        n--;
    }
}

static void heap_merges_as_defined(void **state)
{
    (void)state;
    enum { N_RULES = 24, N_TEXT = 60 };
    lb_err err = {0};
    for (uint64_t round = 0; round < 60; round++) {
        dice d = dice_of(300 + round);
        rule rules[N_RULES];
        char known[N_RULES + 3][32] = {"a", "b", "c"};
        int n_known = 3, n_rules = 0;
        lb_buf vocab = {0}, merges = {0};
        while (n_rules < N_RULES) { /* in any order of rank: a merge may come before those that make its parts */
            const char *l = known[below(&d, (uint32_t)n_known)], *r = known[below(&d, (uint32_t)n_known)];
            if (strlen(l) > 8 || strlen(r) > 8) continue;
            rule *k = &rules[below(&d, (uint32_t)n_rules + 1)];
            rule made;
            snprintf(made.left, sizeof made.left, "%.15s", l);
            snprintf(made.right, sizeof made.right, "%.15s", r);
            snprintf(made.whole, sizeof made.whole, "%s%s", made.left, made.right);
            bool twice = false, listed = false;
            for (int i = 0; i < n_rules; i++)
                twice |= !strcmp(rules[i].left, made.left) && !strcmp(rules[i].right, made.right);
            if (twice) continue;
            memmove(k + 1, k, (size_t)(rules + n_rules - k) * sizeof *k);
            *k = made;
            n_rules++;
            for (int i = 0; i < n_known; i++) listed |= !strcmp(known[i], made.whole);
            if (!listed) strcpy(known[n_known++], made.whole);
        }
        for (int i = 3; i < n_known; i++) lb_buf_fmt(&vocab, ",\"%s\":%d", known[i], 256 + i - 3);
        for (int i = 0; i < n_rules; i++)
            lb_buf_fmt(&merges, "%s[\"%s\",\"%s\"]", i ? "," : "[", rules[i].left, rules[i].right);
        lb_buf_str(&merges, "]");
        lb_tokenizer *t = tiny_open((tiny){.more_vocab = vocab.p, .merges = merges.p}, &err);
        assert_ok(t, err);
        for (int i = 0; i < 40; i++) {
            char piece[N_TEXT][32], text[N_TEXT + 1] = {0};
            size_t n = below(&d, N_TEXT);
            for (size_t j = 0; j < n; j++) text[j] = (char)('a' + below(&d, 3)), sprintf(piece[j], "%c", text[j]);
            size_t n_want = n < 2 ? n : merge_slowly(rules, n_rules, piece, n);
            for (int pass = 0; pass < 2; pass++) { /* the second time it is known which entries are whole */
                lb_ids ids = {0};
                assert_ok(lb_tokenizer_encode(t, text, n, 0, &ids, &err), err);
                assert_int_equal(ids.n, n_want);
                for (size_t j = 0; j < n_want; j++)
                    if (ids.p[j] != lb_tokenizer_id(t, piece[j]))
                        fail_msg("round %d, text '%s': id %zu is not '%s'", (int)round, text, j, piece[j]);
                lb_ids_free(&ids);
            }
        }
        lb_tokenizer_close(t);
        lb_buf_free(&vocab);
        lb_buf_free(&merges);
    }
}

typedef struct job {
    const lb_tokenizer *t;
    uint64_t sum;
} job;

static void *encode_many(void *arg)
{
    job *j = arg;
    dice d = dice_of(400);
    lb_buf text = {0};
    for (int i = 0; i < 1000; i++) {
        lb_ids ids = {0};
        random_text(&d, &text, true);
        if (!lb_tokenizer_encode(j->t, lb_buf_cstr(&text), text.n, LB_ENCODE_SPECIAL, &ids, NULL)) j->sum = 1;
        for (size_t k = 0; k < ids.n; k++) j->sum = lb_mix64(j->sum ^ (uint64_t)ids.p[k]);
        lb_ids_free(&ids);
    }
    lb_buf_free(&text);
    return NULL;
}

static void threads_share_a_tokenizer(void **state)
{
    (void)state;
    lb_tokenizer *t = open_fixture(fixtures[1]);
    job jobs[5] = {{t, 0}, {t, 0}, {t, 0}, {t, 0}, {t, 0}};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, encode_many, &jobs[i]), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    encode_many(&jobs[4]);
    for (int i = 0; i < 4; i++) assert_true(jobs[i].sum == jobs[4].sum);
    lb_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streaming_is_decoding),     cmocka_unit_test(encoding_keeps_the_normal_form),
        cmocka_unit_test(nfc_is_what_utf8proc_says), cmocka_unit_test(heap_merges_as_defined),
        cmocka_unit_test(threads_share_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
