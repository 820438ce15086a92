/* base/err.h – the one error convention: fill, wrap, return false.
 *
 * A function that can fail takes `lb_err *err` last (NULL allowed) and returns bool or a pointer. */
#ifndef LB_BASE_ERR_H
#define LB_BASE_ERR_H
#include "lowbit.h"

/* Fills err with a printf message and returns false, so that `return lb_fail(…)` reads well. Never allocates. Control
 * characters that came in from a file are shown as '?', so that a message is always one line. */
bool lb_fail(lb_err *err, lb_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the message; keeps the code; returns false. */
bool lb_wrap(lb_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* LB_ENOMEM with the number of bytes that could not be had; returns false. */
bool lb_fail_mem(lb_err *err, size_t size_bytes, const char *what);

/* LB_EIO with strerror(errno) behind the message; returns false. */
bool lb_fail_io(lb_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As lb_fail, for functions that return a pointer. */
#define lb_fail_null(...) (lb_fail(__VA_ARGS__), NULL)

#endif
