/* Symbols in memory, both ways, bounded. Two generations: what is met again moves to the young one,
 * and when that is full the old one is dropped. Any thread. Inside the floor only. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _CmSymCache CmSymCache;

/* Holds at most twice @limit symbols. */
CmSymCache *cm_sym_cache_new (guint limit);
void cm_sym_cache_free (CmSymCache *cache);

void cm_sym_cache_add (CmSymCache *cache, gint64 id, const char *text);
/* 0 when it is not there. */
gint64 cm_sym_cache_id (CmSymCache *cache, const char *text);
/* (transfer full) NULL when it is not there. */
char *cm_sym_cache_text (CmSymCache *cache, gint64 id);

G_END_DECLS
