/* Profiles of this server's users: keys with JSON values. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

typedef void (*CmProfileFunc) (const char *key, GBytes *value, gpointer data);

/* Calls @func for each key, in order. */
gboolean cm_profile_foreach (CmDb *db, const char *user_id, CmProfileFunc func, gpointer data,
                             GError **error);
/* (transfer full) NULL without @error when there is none. */
GBytes *cm_profile_value (CmDb *db, const char *user_id, const char *key, GError **error);
gboolean
cm_profile_put (CmDb *db, const char *user_id, const char *key, GBytes *value, GError **error);
gboolean cm_profile_remove (CmDb *db, const char *user_id, const char *key, GError **error);
/* The length of the whole profile as a JSON object without @key; -1 with @error. */
gint64 cm_profile_size_without (CmDb *db, const char *user_id, const char *key, GError **error);

G_END_DECLS
