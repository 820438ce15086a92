/* text/chat.h – a model's chat template: finding it, and turning messages into the prompt the model was trained on.
 *
 * Follows apply_chat_template of transformers. Message content is plain data here: a role marker or special token that
 * a user typed comes out as he typed it, and it is the tokenizer's caller who decides to encode it as text. */
#ifndef LB_TEXT_CHAT_H
#define LB_TEXT_CHAT_H
#include "base/buf.h"
#include "base/json.h"

typedef struct lb_chat lb_chat;   /* read-only once open: any number of threads may render with it */

/* Looks into a model folder: chat_template.jinja (and additional_chat_templates/tool_use.jinja), else chat_template in
 * tokenizer_config.json (a string, or a list of {name, template} with "default" and perhaps "tool_use"). bos_token,
 * eos_token, unk_token, sep_token, pad_token, cls_token and mask_token (strings, or objects with content) of
 * tokenizer_config.json or special_tokens_map.json become variables. A folder without any template opens fine. NULL
 * with the template's parse error, LB_EFORMAT for broken JSON, LB_EIO. */
lb_chat *lb_chat_open(const char *model_dir, lb_err *err);
void lb_chat_close(lb_chat *c);
bool lb_chat_has_template(const lb_chat *c);

/* Appends the rendered text to *out; on failure *out is as it was.
 *   messages  array of objects {role, content, …}, at least one. Keys that are null count as absent; reasoning may be
 *             called reasoning_content, thinking or reasoning, and the template sees the first two.
 *   extra     object of more variables (enable_thinking, tools, documents, …), or NULL. tools and documents are none
 *             by default; with tools, a "tool_use" template is preferred.
 * LB_EFORMAT if there is no template; LB_EUSAGE for messages or extra of the wrong shape. */
bool lb_chat_render(const lb_chat *c, const json_t *messages, bool add_generation_prompt, const json_t *extra,
                    lb_buf *out, lb_err *err);

/* One user turn, ready for the answer: [system,] user, generation prompt. */
bool lb_chat_prompt(const lb_chat *c, const char *system_or_null, const char *user, const json_t *extra, lb_buf *out,
                    lb_err *err);

/* True if a rendered prompt ends with <think> and perhaps white space, as those of QwQ and R1-Distill do: the model's
 * answer then begins inside its thinking, and no <think> will come from the model. A <think> further up does not
 * count: a user may have typed it. */
bool lb_chat_starts_in_thinking(const char *prompt, size_t n);
#endif
