/* Profiles of this server's users: names, pictures and whatever else clients keep there (at most 64
 * KiB in all). */
#pragma once

#include "crypto/json-writer.h"
#include "server/node.h"

G_BEGIN_DECLS

/* (transfer full) a text of a local user's profile ("displayname", "avatar_url"); NULL without
 * @error when there is none. */
char *cm_profile_text (CmNode *node, const char *user_id, const char *key, GError **error);

/* Puts displayname and avatar_url of a local user into the content of a member event that @writer
 * has open. */
gboolean
cm_profile_put_member (CmNode *node, CmJsonWriter *writer, const char *user_id, GError **error);

/* (transfer full) the whole profile of a local user, as an object of all its keys.
 * CM_ERROR_NOT_FOUND when there is no such user, or no longer. */
CmJsonDoc *cm_profile_get (CmNode *node, const char *user_id, GError **error);

/* Sets (@value) or removes (NULL) one key, and tells the user's rooms, soon, when it is one that
 * member events show. The value is checked: CM_ERROR_INVALID_PARAM, CM_ERROR_PROFILE_TOO_LARGE,
 * CM_ERROR_KEY_TOO_LARGE. */
gboolean cm_profile_set (CmNode *node, const char *user_id, const char *key, const CmJson *value,
                         GError **error);

G_END_DECLS
