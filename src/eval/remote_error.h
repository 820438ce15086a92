/* eval/remote_error.h – what a server's refusal means: its text, its kind, and the fields that it names. */
#ifndef LB_EVAL_REMOTE_ERROR_H
#define LB_EVAL_REMOTE_ERROR_H
#include "eval/remote.h"

/* The message in an error body: OpenAI's {"error": {"message"}}, {"error": "…"}, {"message"}, FastAPI's {"detail"}, or
 * the first words of whatever else it is. One line of valid UTF-8, cut to cap; "" for an empty body. */
void lb_remote_error_text(const char *body, size_t n, char *out, size_t cap);
/* The same of a document that is parsed already. */
void lb_remote_error_json(const json_t *v, char *out, size_t cap);
/* Text from a stranger as one line of UTF-8: white space and control characters become single spaces, bad bytes U+FFFD;
 * never cut inside a character. */
void lb_remote_one_line(const char *s, size_t n, char *out, size_t cap);
/* The fault that an HTTP status (or the code in a stream's error; 0: none) and its text stand for. */
lb_remote_fault lb_remote_error_kind(int status, const char *text);
/* No use in trying again: the key, the path or the model is wrong, or the account is empty. */
bool lb_remote_error_fatal(int status, const char *text);
/* Whether `text` names `field` as a word of its own. */
bool lb_remote_error_names(const char *text, const char *field);
#endif
