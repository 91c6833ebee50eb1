#include "schema/cross-signing.h"

static const CmSql put_key = {
  "cross_signing_key_put",
  "INSERT INTO cross_signing_key (user_id, usage, key, position) VALUES ($1, $2, $3, $4)"
  " ON CONFLICT (user_id, usage) DO UPDATE SET key = excluded.key, position = excluded.position",
};

static const CmSql put_first_master = {
  "cross_signing_key_put_first",
  "INSERT INTO cross_signing_key (user_id, usage, key, position) VALUES ($1, 'master', $2, $3)"
  " ON CONFLICT DO NOTHING",
};

static const CmSql forget_keys = {
  "cross_signing_keys_forget",
  "DELETE FROM cross_signing_key WHERE user_id = $1",
};

static const CmSql find_keys = {
  "cross_signing_keys_find",
  "SELECT user_id, usage, key FROM cross_signing_key WHERE user_id = ANY ($1)"
  " ORDER BY user_id, usage",
};

static const CmSql put_signature = {
  "key_signature_put",
  "INSERT INTO key_signature (target_user, target_key, signer_user, signer_key, signature, "
  "position) VALUES ($1, $2, $3, $4, $5, $6)"
  " ON CONFLICT (target_user, target_key, signer_user, signer_key) DO UPDATE SET signature = "
  "excluded.signature, position = excluded.position",
};

static const CmSql find_signatures = {
  "key_signatures_find",
  "SELECT target_user, target_key, signer_user, signer_key, signature FROM key_signature"
  " WHERE target_user = ANY ($1) AND (signer_user = target_user OR signer_user = $2)"
  " ORDER BY target_user, target_key, signer_user, signer_key",
};

static const CmSql forget_signatures = {
  "key_signatures_forget",
  "DELETE FROM key_signature WHERE target_user = $1 AND target_key = $2",
};

void
cm_cross_signing_key_put (CmWrite *write, const char *user_id, const char *usage, GBytes *key,
                          gint64 offset)
{
  cm_write_add (write, &put_key,
                CM_ARGS (CM_TEXT (user_id), CM_TEXT (usage), CM_BYTES (key), CM_POSITION (offset)));
}

void
cm_cross_signing_put_first_master (CmWrite *write, const char *user_id, GBytes *key, gint64 offset)
{
  cm_write_add_fenced (write, &put_first_master,
                       CM_ARGS (CM_TEXT (user_id), CM_BYTES (key), CM_POSITION (offset)));
}

void
cm_cross_signing_keys_forget (CmWrite *write, const char *user_id)
{
  cm_write_add (write, &forget_keys, CM_ARGS (CM_TEXT (user_id)));
}

CmRows *
cm_cross_signing_keys_find (CmDb *db, char **user_ids, GError **error)
{
  return cm_db_query (db, &find_keys, CM_ARGS (CM_TEXTS (user_ids)), error);
}

void
cm_key_signature_put (CmWrite *write, const char *target_user, const char *target_key,
                      const char *signer_user, const char *signer_key, const char *signature,
                      gint64 offset)
{
  cm_write_add (write, &put_signature,
                CM_ARGS (CM_TEXT (target_user), CM_TEXT (target_key), CM_TEXT (signer_user),
                         CM_TEXT (signer_key), CM_TEXT (signature), CM_POSITION (offset)));
}

CmRows *
cm_key_signatures_find (CmDb *db, char **target_users, const char *viewer, GError **error)
{
  return cm_db_query (db, &find_signatures, CM_ARGS (CM_TEXTS (target_users), CM_TEXT (viewer)),
                      error);
}

void
cm_key_signatures_forget (CmWrite *write, const char *target_user, const char *target_key)
{
  cm_write_add (write, &forget_signatures, CM_ARGS (CM_TEXT (target_user), CM_TEXT (target_key)));
}
