/* eval/inflate.c – base64 by a table, zlib in pieces. */
#include "eval/inflate.h"
#include <string.h>
#include <zlib.h>

enum { PIECE = 1 << 16 };

/* 0 to 63, or -1. */
static int value_of(unsigned char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool lb_base64_decode(const char *text, size_t n, lb_buf *out, lb_err *err)
{
    uint32_t bits = 0;
    size_t n_char = 0, n_pad = 0;
    char piece[PIECE];
    size_t n_piece = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n' || c == '\r') continue;
        int v = value_of(c);
        if (c == '=' && n_char % 4 >= 2 && n_pad < 2) {
            v = 0;
            n_pad++;
        } else if (v < 0 || n_pad) {
            return lb_fail(err, LB_EFORMAT, "byte 0x%02x at offset %zu is not base64", c, i);
        }
        bits = bits << 6 | (uint32_t)v;
        if (++n_char % 4) continue;
        if (n_piece + 3 > sizeof piece) {
            lb_buf_add(out, piece, n_piece);
            n_piece = 0;
        }
        for (int k = 0; k < 3 - (int)n_pad; k++) piece[n_piece++] = (char)(bits >> (16 - 8 * k));
    }
    if (n_char % 4) return lb_fail(err, LB_EFORMAT, "base64 ends after %zu characters, wanted a multiple of 4", n_char);
    lb_buf_add(out, piece, n_piece);
    return lb_buf_ok(out, "base64", err);
}

static bool inflate_all(z_stream *z, const unsigned char *p, size_t n, size_t max_bytes, lb_buf *out, lb_err *err)
{
    unsigned char piece[PIECE];
    size_t total = 0, at = 0;
    for (int rc = Z_OK; rc != Z_STREAM_END;) {
        if (z->avail_in == 0 && at < n) {
            size_t k = n - at < ((size_t)1 << 30) ? n - at : (size_t)1 << 30;
            z->next_in = (z_const Bytef *)(p + at);
            z->avail_in = (uInt)k;
            at += k;
        }
        z->next_out = piece;
        z->avail_out = sizeof piece;
        rc = inflate(z, Z_NO_FLUSH);
        size_t got = sizeof piece - z->avail_out;
        if (rc == Z_MEM_ERROR) return lb_fail_mem(err, PIECE, "zlib");
        if (rc == Z_BUF_ERROR || (rc == Z_OK && got == 0 && z->avail_in == 0 && at == n))
            return lb_fail(err, LB_EFORMAT, "the zlib stream is cut short: %zu bytes hold %zu", n, total);
        if (rc != Z_OK && rc != Z_STREAM_END)
            return lb_fail(err, LB_EFORMAT, "the zlib stream is broken near offset %zu: %s", at - z->avail_in,
                           rc == Z_NEED_DICT ? "it needs a dictionary" : z->msg ? z->msg : "no zlib data");
        if (got > max_bytes - total)
            return lb_fail(err, LB_EFORMAT, "the zlib stream of %zu bytes holds more than %zu", n, max_bytes);
        total += got;
        lb_buf_add(out, piece, got);
        if (out->oom) return lb_buf_ok(out, "zlib data", err);
    }
    size_t left = z->avail_in + (n - at);
    return !left || lb_fail(err, LB_EFORMAT, "%zu bytes follow the zlib stream", left);
}

bool lb_inflate(const void *p, size_t n, size_t max_bytes, lb_buf *out, lb_err *err)
{
    z_stream z;
    memset(&z, 0, sizeof z);
    if (inflateInit(&z) != Z_OK) return lb_fail_mem(err, sizeof z, "zlib");
    bool ok = inflate_all(&z, p, n, max_bytes, out, err);
    inflateEnd(&z);
    return ok;
}
