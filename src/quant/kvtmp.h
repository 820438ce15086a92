#include <stdio.h>
#include <string.h>
typedef enum { LB_KV_PER_TOKEN, LB_KV_PER_CHANNEL_STATIC, LB_KV_PER_CHANNEL_GROUP } lb_kv_key_mode;
typedef struct { int bits; lb_kv_key_mode key; } lb_kv_spec;
static inline bool lb_kv_spec_parse(const char *t, lb_kv_spec *s, lb_err *e){ (void)e; s->bits=t[2]-'0'; s->key=strstr(t,"kvquant")?LB_KV_PER_CHANNEL_STATIC:LB_KV_PER_TOKEN; return true; }
