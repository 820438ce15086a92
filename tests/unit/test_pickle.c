/* test_pickle.c – packed tests: base64, zlib with a bound, and the pickle of a string; everything else is refused. */
#include "test.h"
#include "eval/inflate.h"
#include "eval/pickle.h"
#include <zlib.h>

/* ---- base64 ---- */

static void decodes(const char *text, const char *want, size_t n)
{
    lb_err e = {0};
    lb_buf b = {0};
    assert_ok(lb_base64_decode(text, strlen(text), &b, &e), e);
    if (b.n != n || memcmp(lb_buf_cstr(&b), want, n)) fail_msg("'%s' -> %zu bytes '%s'", text, b.n, lb_buf_cstr(&b));
    lb_buf_free(&b);
}

static void base64_is_read(void **state)
{
    (void)state;
    decodes("", "", 0);
    decodes("YQ==", "a", 1);
    decodes("YWI=", "ab", 2);
    decodes("YWJj", "abc", 3);
    decodes("YWJj\nZGVm\r\n", "abcdef", 6);
    decodes("AP+/", "\0\xff\xbf", 3);
    /* Longer than a piece, against an encoder of three lines. */
    static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    enum { N = 300000 };
    unsigned char *p = malloc(N);
    char *text = malloc(N / 3 * 4 + 1);
    assert_true(p && text);
    for (size_t i = 0; i < N; i++) p[i] = (unsigned char)(i * i >> 5);
    for (size_t i = 0; i < N / 3; i++) {
        uint32_t v = (uint32_t)p[3 * i] << 16 | (uint32_t)p[3 * i + 1] << 8 | p[3 * i + 2];
        for (int k = 0; k < 4; k++) text[4 * i + (size_t)k] = abc[v >> (18 - 6 * k) & 63];
    }
    text[N / 3 * 4] = 0;
    decodes(text, (const char *)p, N);
    free(p);
    free(text);
}

static void what_is_not_base64_is_refused(void **state)
{
    (void)state;
    static const struct { const char *text, *says; } bad[] = {
        { "YQ", "ends after 2" }, { "YQ=", "ends after 3" }, { "Y===", "offset 1" }, { "YQ==YQ==", "offset 4" },
        { "YQ=a", "offset 3" }, { "YW-j", "offset 2" }, { "=", "offset 0" }, { "YWJj YWJj", "offset 4" },
        { "YQ===", "offset 4" }, { "YWJj\xc3\xa9", "offset 4" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lb_err e = {0};
        lb_buf b = {0};
        if (lb_base64_decode(bad[i].text, strlen(bad[i].text), &b, &e)) fail_msg("'%s' was taken", bad[i].text);
        assert_int_equal(e.code, LB_EFORMAT);
        if (!strstr(e.msg, bad[i].says)) fail_msg("'%s': %s", bad[i].text, e.msg);
        lb_buf_free(&b);
    }
}

/* ---- zlib ---- */

static void zlib_is_read_up_to_its_bound(void **state)
{
    (void)state;
    enum { N = 1000000 };
    unsigned char *p = malloc(N), *z = malloc(N);
    assert_true(p && z);
    for (size_t i = 0; i < N; i++) p[i] = (unsigned char)(i % 1000 / 100);
    uLongf n_z = N;
    assert_int_equal(compress(z, &n_z, p, N), Z_OK);
    lb_err e = {0};
    lb_buf b = {0};
    assert_ok(lb_inflate(z, n_z, N, &b, &e), e);
    assert_int_equal(b.n, N);
    assert_memory_equal(b.p, p, N);
    lb_buf_reset(&b);
    assert_false(lb_inflate(z, n_z, N - 1, &b, &e));                   /* a bomb */
    assert_non_null(strstr(e.msg, "holds more than 999999"));
    assert_true(b.n <= N - 1);
    for (size_t cut = 0; cut < n_z; cut += 1 + n_z / 37) {
        lb_buf_reset(&b);
        assert_false(lb_inflate(z, cut, N, &b, &e));
        if (!strstr(e.msg, "cut short")) fail_msg("cut at %zu: %s", cut, e.msg);
    }
    z[n_z] = 0;
    lb_buf_reset(&b);
    assert_false(lb_inflate(z, n_z + 1, N, &b, &e));
    assert_non_null(strstr(e.msg, "1 bytes follow"));
    z[n_z - 1] ^= 1;                                                   /* the checksum */
    lb_buf_reset(&b);
    assert_false(lb_inflate(z, n_z, N, &b, &e));
    assert_non_null(strstr(e.msg, "broken"));
    assert_false(lb_inflate("not zlib", 8, N, &b, &e));
    assert_non_null(strstr(e.msg, "broken"));
    static const unsigned char dictionary[] = { 0x78, 0xbb, 0x02, 0x4d, 0x01, 0x27, 0x4b, 0x04, 0x00 };
    assert_false(lb_inflate(dictionary, sizeof dictionary, N, &b, &e));
    assert_non_null(strstr(e.msg, "needs a dictionary"));
    assert_int_equal(e.code, LB_EFORMAT);
    lb_buf_free(&b);
    free(p);
    free(z);
}

/* A gigabyte of zeros in a megabyte costs no more than its bound. */
static void a_bomb_stops_at_once(void **state)
{
    (void)state;
    z_stream z = {0};
    lb_buf bomb = {0}, out = {0};
    lb_err e = {0};
    static unsigned char zeros[1 << 16], piece[1 << 12];
    assert_int_equal(deflateInit(&z, 9), Z_OK);
    for (int i = 0; i < 1 << 10; i++) {
        z.next_in = zeros;
        z.avail_in = sizeof zeros;
        do {
            z.next_out = piece;
            z.avail_out = sizeof piece;
            assert_true(deflate(&z, i == (1 << 10) - 1 ? Z_FINISH : Z_NO_FLUSH) >= Z_OK);
            lb_buf_add(&bomb, piece, sizeof piece - z.avail_out);
        } while (z.avail_out == 0);
    }
    deflateEnd(&z);
    assert_true(bomb.n < 100000);
    assert_false(lb_inflate(bomb.p, bomb.n, 1 << 20, &out, &e));
    assert_int_equal(e.code, LB_EFORMAT);
    assert_true(out.n <= 1 << 20 && out.cap <= 4 << 20);
    lb_buf_free(&bomb);
    lb_buf_free(&out);
}

/* ---- pickle: what pickle.dumps of CPython 3.11 writes ---- */

#define BYTES(s) s, sizeof s - 1

static void strings_of_all_protocols_are_read(void **state)
{
    (void)state;
    static const struct { const char *p; size_t n; } good[] = {
        { BYTES("\x80\x02X\x03\0\0\0abcq\0.") },
        { BYTES("\x80\x03X\x03\0\0\0abcq\0.") },
        { BYTES("\x80\x04\x95\x07\0\0\0\0\0\0\0\x8c\x03" "abc\x94.") },
        { BYTES("\x80\x05\x95\x07\0\0\0\0\0\0\0\x8c\x03" "abc\x94.") },
        { BYTES("\x80\x04X\x03\0\0\0abc\x94.") },                     /* as a large one: without a frame */
        { BYTES("\x80\x04\x8d\x03\0\0\0\0\0\0\0abc\x94.") },
        { BYTES("\x80\x02X\x03\0\0\0abcr\0\1\0\0.") },
        { BYTES("X\x03\0\0\0abc.") },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        lb_err e = {0};
        const char *s;
        size_t n;
        assert_ok(lb_pickle_str(good[i].p, good[i].n, &s, &n, &e), e);
        assert_int_equal(n, 3);
        assert_memory_equal(s, "abc", 3);
        for (size_t cut = 0; cut < good[i].n; cut++) {
            if (lb_pickle_str(good[i].p, cut, &s, &n, &e)) fail_msg("pickle %zu cut at %zu was taken", i, cut);
            assert_int_equal(e.code, LB_EFORMAT);
        }
    }
}

static void every_other_pickle_is_refused(void **state)
{
    (void)state;
    static const struct { const char *p; size_t n; const char *says; } bad[] = {
        { BYTES("cos\nsystem\n(S'id'\ntR."), "opcode 0x63 at offset 0" },
        { BYTES("\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."),
          "second string at offset 19" },
        { BYTES("\x80\x02]q\0."), "opcode 0x5d at offset 2" },
        { BYTES("\x80\x02X\1\0\0\0aR."), "opcode 0x52 at offset 8" },
        { BYTES("\x80\x02X\1\0\0\0ab"), "opcode 0x62 at offset 8" },
        { BYTES("\x80\x01X\1\0\0\0a."), "protocol 1 at offset 0" },
        { BYTES("\x80\x06X\1\0\0\0a."), "protocol 6 at offset 0" },
        { BYTES("\x80\x02\x80\x02X\1\0\0\0a."), "protocol 2 at offset 2" },
        { BYTES("\x80\x02X\xff\xff\xff\xff" "a."), "BINUNICODE at offset 2 is of 4294967295 bytes, 2 are left" },
        { BYTES("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff" "a."), "18446744073709551615 bytes" },
        { BYTES("\x80\x04\x95\xff\0\0\0\0\0\0\0\x8c\x01" "a."), "FRAME at offset 2" },
        { BYTES("\x80\x02q\0."), "BINPUT at offset 2 with nothing" },
        { BYTES("\x80\x02."), "STOP at offset 2 before a string" },
        { BYTES("\x80\x02X\1\0\0\0a.."), "1 bytes follow STOP" },
        { BYTES("\x80\x02X\1\0\0\0a"), "no STOP" },
        { BYTES("\x80"), "cut short within PROTO" },
        { BYTES(""), "no STOP in 0 bytes" },
        { BYTES("\x80\x02h\0."), "opcode 0x68" }, { BYTES("\x80\x02N."), "opcode 0x4e" },
        { BYTES("\x80\x04\x8e\1\0\0\0\0\0\0\0a."), "opcode 0x8e" }, { BYTES("\x80\x02U\1a."), "opcode 0x55" },
        { BYTES("\x80\x02\x82\x01."), "opcode 0x82" }, { BYTES("\x80\x02P1\n."), "opcode 0x50" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lb_err e = {0};
        const char *s;
        size_t n;
        if (lb_pickle_str(bad[i].p, bad[i].n, &s, &n, &e)) fail_msg("pickle %zu was taken", i);
        assert_int_equal(e.code, LB_EFORMAT);
        if (!strstr(e.msg, bad[i].says)) fail_msg("pickle %zu: %s, wanted %s", i, e.msg, bad[i].says);
    }
    /* No opcode but the nine gets anywhere. */
    int known = 0;
    for (int c = 0; c < 256; c++) {
        unsigned char p[16] = { 'X', 1, 0, 0, 0, 'a', (unsigned char)c };
        lb_err e = {0};
        const char *s;
        size_t n;
        assert_false(lb_pickle_str(p, sizeof p, &s, &n, &e));
        known += !strstr(e.msg, "opcode") || !strstr(e.msg, "offset 6");
    }
    assert_int_equal(known, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_is_read),
        cmocka_unit_test(what_is_not_base64_is_refused),
        cmocka_unit_test(zlib_is_read_up_to_its_bound),
        cmocka_unit_test(a_bomb_stops_at_once),
        cmocka_unit_test(strings_of_all_protocols_are_read),
        cmocka_unit_test(every_other_pickle_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
