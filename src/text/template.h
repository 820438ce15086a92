/* text/template.h – an interpreter for the part of Jinja that chat templates use.
 *
 * Renders as Hugging Face does: Jinja's immutable sandbox with trim_blocks and lstrip_blocks, `break` and `continue`,
 * {% generation %}, raise_exception(), strftime_now(), and a tojson that keeps non-ASCII text. Values behave and print
 * as Python's do (None, True, 1.0, ['a'], {'a': 1}); strings count in code points. Integers are 64-bit: a result that
 * does not fit is LB_EUNSUPPORTED. Lists and dicts cannot be changed; only namespace() objects can.
 *
 * Not supported, each an LB_EUNSUPPORTED that names it and its line: {% include %}, {% import %}, {% from %},
 * {% extends %}, {% block %}, {% autoescape %}, extension tags, recursive loops, filters, tests and methods outside the
 * tables of template_filters.c, template_tests.c and template_methods.c.
 *
 * Templates are untrusted. What they may use is limited below; passing a limit is LB_EFORMAT and names the limit. */
#ifndef LB_TEXT_TEMPLATE_H
#define LB_TEXT_TEMPLATE_H
#include "base/buf.h"
#include "base/json.h"

#define LB_TEMPLATE_MAX_SOURCE ((size_t)1 << 20)     /* bytes of template text */
#define LB_TEMPLATE_MAX_OUTPUT ((size_t)8 << 20)     /* bytes of output, of pending output, and of any one string */
#define LB_TEMPLATE_MAX_MEMORY ((size_t)128 << 20)   /* bytes of values made in one rendering */
enum {
    LB_TEMPLATE_MAX_STEPS = 1000000,   /* nodes evaluated, items visited, and 256-byte blocks of text read */
    LB_TEMPLATE_MAX_DEPTH = 64,        /* syntax levels; macro calls inside each other */
    LB_TEMPLATE_MAX_FRAMES = 1024,     /* evaluations inside each other, over all macros */
    LB_TEMPLATE_MAX_VALUE_DEPTH = 128, /* lists and dicts inside each other that are printed or compared */
    LB_TEMPLATE_MAX_MS = 1000          /* of the rendering thread's processor time: a busy machine changes nothing */
};

typedef struct lb_template lb_template;   /* read-only once parsed: any number of threads may render it */

/* Parses n bytes of UTF-8; `where` (copied) stands in front of every message. NULL with LB_EFORMAT (syntax, with line),
 * LB_EUNSUPPORTED or LB_ENOMEM. An unknown filter or test inside a branch is an error only when it is reached, as in
 * Jinja. */
lb_template *lb_template_parse(const char *src, size_t n, const char *where, lb_err *err);
void lb_template_free(lb_template *t);

/* Appends the text to *out. vars is an object: its members are the template's global names. On failure *out is as it
 * was. raise_exception(message) in the template is LB_EFORMAT with that message; so is what would be a Python
 * exception (an attribute of an undefined value, wrong operand types, a division by zero). */
bool lb_template_render(const lb_template *t, const json_t *vars, lb_buf *out, lb_err *err);
#endif
