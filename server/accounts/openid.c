#include "server/accounts/openid.h"

#include "crypto/hash.h"
#include "schema/token.h"
#include "server/accounts/accounts-private.h"

#define TOKEN_CHARS 43

char *
cm_openid_new (CmNode *node, const char *user_id, GError **error)
{
  gint64 now = cm_now_ms ();
  g_autofree char *random = cm_random_token (TOKEN_CHARS);
  g_autofree char *token = g_strconcat ("cmo_", random, NULL);
  g_autofree char *hash = cm_token_hash (token);
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (!db || !cm_brief_token_add (db, CM_BRIEF_OPENID, hash, user_id, now,
                                  now + CM_OPENID_SECONDS * 1000, error))
    return NULL;
  return g_steal_pointer (&token);
}

char *
cm_openid_user (CmNode *node, const char *token, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autofree char *hash = cm_token_hash (token);
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (!db)
    return NULL;
  char *user_id = cm_brief_token_user (db, CM_BRIEF_OPENID, hash, cm_now_ms (), &failure);
  if (user_id)
    return user_id;
  if (failure)
    g_propagate_error (error, g_steal_pointer (&failure));
  else
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNKNOWN_TOKEN, "Unknown OpenID token");
  return NULL;
}
