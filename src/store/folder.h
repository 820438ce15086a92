/* store/folder.h – a whole Hugging Face folder around new weights.
 *
 * Write into the temporary folder of an lb_outdir (base/file.h), so that the result appears whole or not at all:
 * lb_outdir_open; lb_st_writer_*; lb_folder_copy; lb_folder_write_config; lb_outdir_commit. */
#ifndef LB_STORE_FOLDER_H
#define LB_STORE_FOLDER_H
#include "base/json.h"

/* Copies what makes an export complete: tokenizer and chat template files, generation_config.json, vocabularies,
 * licences
 * (*.json, *.jinja, *.txt, *.model, LICENSE*, NOTICE*), byte for byte. Not config.json, no weights and no weight index,
 * no description of another quantization. Symbolic links are followed: caches are made of them. */
bool lb_folder_copy(const char *from, const char *to, lb_err *err);

/* Writes to/config.json: from/config.json with its 'quantization_config' replaced by qc, or removed if qc is NULL.
 * Every other byte stays what it was: order, spelling of numbers, unknown keys. */
bool lb_folder_write_config(const char *from, const char *to, const json_t *qc, lb_err *err);

/* The same on text, for other keys and files: a new string with the top-level `key` set to v (or removed); the caller
 * frees it. */
char *lb_json_set_text(const char *text, const char *key, const json_t *v, const char *where, lb_err *err);
#endif
