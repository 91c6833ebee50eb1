#include "schema/token.h"

static const CmSql sql_find = {
  "token_find", "SELECT t.id, t.user_id, t.device_id, a.sym, t.expires_ts, t.refresh, t.used,"
                " a.origin, a.state, a.admin, a.suspended"
                " FROM access_token t JOIN account a USING (user_id) WHERE t.hash = $1"
};
static const CmSql sql_insert = {
  "token_insert",
  "INSERT INTO access_token (hash, user_id, device_id, refresh, expires_ts, created_ts)"
  " VALUES ($1, $2, $3, $4, $5, $6) RETURNING id"
};
static const CmSql sql_insert_refresh = {
  "refresh_token_insert", "INSERT INTO refresh_token (hash, user_id, device_id, created_ts)"
                          " VALUES ($1, $2, $3, $4) RETURNING id"
};
static const CmSql sql_delete_device[] = {
  { "token_delete_device_pushers",
    "DELETE FROM pusher p USING access_token t"
    " WHERE p.token = t.id AND t.user_id = $1 AND t.device_id = $2" },
  { "token_delete_device", "DELETE FROM access_token WHERE user_id = $1 AND device_id = $2" },
  { "refresh_token_delete_device",
    "DELETE FROM refresh_token WHERE user_id = $1 AND device_id = $2" },
};
static const CmSql sql_delete_user[] = {
  { "token_delete_user_pushers", "DELETE FROM pusher p USING access_token t"
                                 " WHERE p.token = t.id AND t.user_id = $1" },
  { "token_delete_user", "DELETE FROM access_token WHERE user_id = $1" },
  { "refresh_token_delete_user", "DELETE FROM refresh_token WHERE user_id = $1" },
  { "login_token_delete_user", "DELETE FROM login_token WHERE user_id = $1" },
};
static const CmSql sql_any = { "token_any",
                               "SELECT EXISTS (SELECT 1 FROM access_token WHERE user_id = $1)" };
static const CmSql sql_mark_used = { "token_mark_used",
                                     "UPDATE access_token SET used = true WHERE id = $1" };
static const CmSql sql_delete_before = { "refresh_token_delete_before",
                                         "DELETE FROM refresh_token WHERE next = $1" };
static const CmSql sql_lock_refresh = {
  "refresh_token_lock",
  "SELECT id, user_id, device_id, next, created_ts FROM refresh_token WHERE hash = $1 FOR UPDATE"
};
static const CmSql sql_set_next = { "refresh_token_set_next",
                                    "UPDATE refresh_token SET next = $2 WHERE id = $1" };
static const CmSql sql_move_pushers = {
  "token_move_pushers", "UPDATE pusher SET token = $2 WHERE token IN"
                        " (SELECT id FROM access_token WHERE user_id = $1 AND device_id = $3)"
};
/* Every access token of the device but the new one: a device has one session. */
static const CmSql sql_delete_others = {
  "token_delete_others",
  "DELETE FROM access_token WHERE user_id = $1 AND id <> $2 AND device_id = $3"
};
static const CmSql sql_delete_refresh = { "refresh_token_delete",
                                          "DELETE FROM refresh_token WHERE id = $1" };
static const CmSql sql_forget_refresh = {
  "refresh_token_forget", "DELETE FROM refresh_token WHERE id = ANY (ARRAY ("
                          "SELECT id FROM refresh_token WHERE created_ts < $1 LIMIT $2))"
};
static const CmSql sql_nonce_expire = { "nonce_expire",
                                        "DELETE FROM registration_nonce WHERE expires_ts < $1" };
static const CmSql sql_nonce_add = {
  "nonce_add", "INSERT INTO registration_nonce (nonce, expires_ts) VALUES ($1, $2)"
};
static const CmSql sql_nonce_take = {
  "nonce_take", "DELETE FROM registration_nonce WHERE nonce = $1 RETURNING expires_ts >= $2"
};

typedef struct {
  CmSql expire;
  CmSql add;
  CmSql user;
} BriefRow;

static const BriefRow briefs[] = {
  [CM_BRIEF_LOGIN] = {
    { "login_token_expire", "DELETE FROM login_token WHERE expires_ts < $1" },
    { "login_token_add", "INSERT INTO login_token (hash, user_id, expires_ts) VALUES ($1, $2, $3)" },
    { "login_token_user", "DELETE FROM login_token WHERE hash = $1 RETURNING user_id, expires_ts >= $2" },
  },
  [CM_BRIEF_OPENID] = {
    { "openid_token_expire", "DELETE FROM openid_token WHERE expires_ts < $1" },
    { "openid_token_add", "INSERT INTO openid_token (hash, user_id, expires_ts) VALUES ($1, $2, $3)" },
    { "openid_token_user", "SELECT user_id, expires_ts >= $2 FROM openid_token WHERE hash = $1" },
  },
};

void
cm_token_free (CmToken *token)
{
  if (!token)
    return;
  g_free (token->user_id);
  g_free (token->device_id);
  g_free (token);
}

CmToken *
cm_token_find (CmDb *db, const char *hash, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &sql_find, CM_ARGS (CM_TEXT (hash)), error);
  if (!rows || cm_rows_count (rows) == 0)
    return NULL;
  CmToken *token = g_new0 (CmToken, 1);
  token->id = cm_rows_integer (rows, 0, 0);
  token->user_id = g_strdup (cm_rows_text (rows, 0, 1));
  token->device_id = g_strdup (cm_rows_text (rows, 0, 2));
  token->user = cm_rows_integer (rows, 0, 3);
  token->expires_ts = cm_rows_integer (rows, 0, 4);
  token->refresh = cm_rows_integer (rows, 0, 5);
  token->used = cm_rows_boolean (rows, 0, 6);
  token->origin = cm_account_origin_from_text (cm_rows_text (rows, 0, 7));
  token->state = cm_account_state_of (cm_rows_text (rows, 0, 8), cm_rows_boolean (rows, 0, 10));
  token->admin = cm_rows_boolean (rows, 0, 9);
  return token;
}

/* The number of the one row that @sql inserts; 0 with @error. */
static gint64
insert (CmDb *db, const CmSql *sql, const CmParam *params, gsize n_params, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, sql, params, n_params, error);
  return rows ? cm_rows_integer (rows, 0, 0) : 0;
}

/* *@refresh gets the number of the refresh token, or 0. */
static gint64
insert_pair (CmDb *db, const CmNewToken *token, gint64 *refresh, GError **error)
{
  *refresh = 0;
  if (token->refresh_hash) {
    *refresh = insert (db, &sql_insert_refresh,
                       CM_ARGS (CM_TEXT (token->refresh_hash), CM_TEXT (token->user_id),
                                CM_TEXT (token->device_id), CM_INT (token->now)),
                       error);
    if (*refresh == 0)
      return 0;
  }
  return insert (db, &sql_insert,
                 CM_ARGS (CM_TEXT (token->hash), CM_TEXT (token->user_id),
                          CM_TEXT (token->device_id), *refresh ? CM_INT (*refresh) : CM_SQL_NULL,
                          token->expires_ts ? CM_INT (token->expires_ts) : CM_SQL_NULL,
                          CM_INT (token->now)),
                 error);
}

gboolean
cm_token_insert (CmDb *db, const CmNewToken *token, GError **error)
{
  gint64 refresh;
  return insert_pair (db, token, &refresh, error) != 0;
}

gboolean
cm_token_delete_device (CmDb *db, const char *user_id, const char *device_id, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (sql_delete_device); i++) {
    if (!cm_db_run (db, &sql_delete_device[i], CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id)),
                    NULL, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
cm_token_delete_user (CmDb *db, const char *user_id, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (sql_delete_user); i++) {
    if (!cm_db_run (db, &sql_delete_user[i], CM_ARGS (CM_TEXT (user_id)), NULL, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
cm_token_any (CmDb *db, const char *user_id, gboolean *any, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &sql_any, CM_ARGS (CM_TEXT (user_id)), error);
  *any = rows && cm_rows_boolean (rows, 0, 0);
  return rows != NULL;
}

void
cm_token_write_delete_device (CmWrite *write, const char *user_id, const char *device_id)
{
  for (gsize i = 0; i < G_N_ELEMENTS (sql_delete_device); i++)
    cm_write_add (write, &sql_delete_device[i], CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id)));
}

gboolean
cm_token_first_use (CmDb *db, const CmToken *token, GError **error)
{
  return cm_db_run (db, &sql_delete_before, CM_ARGS (CM_INT (token->refresh)), NULL, error) &&
         cm_db_run (db, &sql_mark_used, CM_ARGS (CM_INT (token->id)), NULL, error);
}

CmToken *
cm_refresh_token_lock (CmDb *db, const char *hash, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &sql_lock_refresh, CM_ARGS (CM_TEXT (hash)), error);
  if (!rows || cm_rows_count (rows) == 0)
    return NULL;
  CmToken *token = g_new0 (CmToken, 1);
  token->id = cm_rows_integer (rows, 0, 0);
  token->user_id = g_strdup (cm_rows_text (rows, 0, 1));
  token->device_id = g_strdup (cm_rows_text (rows, 0, 2));
  token->refresh = cm_rows_integer (rows, 0, 3);
  token->created_ts = cm_rows_integer (rows, 0, 4);
  return token;
}

gboolean
cm_refresh_token_forget (CmDb *db, gint64 before_ms, gint64 limit, gboolean *more, GError **error)
{
  gint64 gone = 0;
  gboolean done = cm_db_run (db, &sql_forget_refresh, CM_ARGS (CM_INT (before_ms), CM_INT (limit)),
                             &gone, error);

  *more = gone >= limit;
  return done;
}

gboolean
cm_refresh_token_replace (CmDb *db, const CmToken *old, const CmNewToken *token, GError **error)
{
  gint64 refresh;
  gint64 id = insert_pair (db, token, &refresh, error);
  const CmParam of_device[] = { CM_TEXT (old->user_id), CM_INT (id), CM_TEXT (old->device_id) };

  if (id == 0)
    return FALSE;
  return cm_db_run (db, &sql_delete_before, CM_ARGS (CM_INT (old->id)), NULL, error) &&
         cm_db_run (db, &sql_move_pushers, of_device, G_N_ELEMENTS (of_device), NULL, error) &&
         cm_db_run (db, &sql_delete_others, of_device, G_N_ELEMENTS (of_device), NULL, error) &&
         cm_db_run (db, &sql_delete_refresh, CM_ARGS (CM_INT (old->refresh)), NULL, error) &&
         cm_db_run (db, &sql_set_next, CM_ARGS (CM_INT (old->id), CM_INT (refresh)), NULL, error);
}

gboolean
cm_brief_token_add (CmDb *db, CmBriefKind kind, const char *hash, const char *user_id, gint64 now,
                    gint64 expires, GError **error)
{
  const BriefRow *row = &briefs[kind];
  return cm_db_run (db, &row->expire, CM_ARGS (CM_INT (now)), NULL, error) &&
         cm_db_run (db, &row->add, CM_ARGS (CM_TEXT (hash), CM_TEXT (user_id), CM_INT (expires)),
                    NULL, error);
}

char *
cm_brief_token_user (CmDb *db, CmBriefKind kind, const char *hash, gint64 now, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &briefs[kind].user, CM_ARGS (CM_TEXT (hash), CM_INT (now)), error);
  gboolean good = rows && cm_rows_count (rows) > 0 && cm_rows_boolean (rows, 0, 1);
  return good ? g_strdup (cm_rows_text (rows, 0, 0)) : NULL;
}

gboolean
cm_nonce_add (CmDb *db, const char *nonce, gint64 now, gint64 expires, GError **error)
{
  return cm_db_run (db, &sql_nonce_expire, CM_ARGS (CM_INT (now)), NULL, error) &&
         cm_db_run (db, &sql_nonce_add, CM_ARGS (CM_TEXT (nonce), CM_INT (expires)), NULL, error);
}

gboolean
cm_nonce_take (CmDb *db, const char *nonce, gint64 now, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &sql_nonce_take, CM_ARGS (CM_TEXT (nonce), CM_INT (now)), error);
  if (!rows)
    return FALSE;
  if (cm_rows_count (rows) > 0 && cm_rows_boolean (rows, 0, 0))
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "Unknown or used nonce");
  return FALSE;
}
