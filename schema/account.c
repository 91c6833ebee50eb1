#include "schema/account.h"

#include "schema/token.h"

#include <string.h>

static const char *const origins[] = { "local", "ldap", "appservice", "guest", "service" };
static const char *const states[] = { "active", "locked", "suspended", "deactivated" };

#define COLUMNS                                                                                    \
  "user_id, sym, origin, state, admin, erased, password_hash, external_id, created_ts, suspended"

static const CmSql sql_insert = { "account_insert",
                                  "INSERT INTO account (" COLUMNS ")"
                                  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, false)" };
static const CmSql sql_get = { "account_get",
                               "SELECT " COLUMNS " FROM account WHERE user_id = $1" };
static const CmSql sql_get_external = { "account_get_external",
                                        "SELECT " COLUMNS
                                        " FROM account WHERE origin = $1 AND external_id = $2" };
static const CmSql sql_lock = { "account_lock",
                                "SELECT " COLUMNS " FROM account WHERE user_id = $1 FOR UPDATE" };
static const CmSql sql_list = { "account_list",
                                "SELECT " COLUMNS
                                " FROM account WHERE user_id > $1 ORDER BY user_id LIMIT $2" };
static const CmSql sql_set_password = {
  "account_set_password", "UPDATE account SET password_hash = $2 WHERE user_id = $1"
};
static const CmSql sql_promote = {
  "account_promote", "UPDATE account SET origin = 'local', password_hash = $2"
                     " WHERE user_id = $1 AND origin = 'guest' AND state = 'active'"
};
static const CmSql sql_set_locked = {
  "account_set_locked", "UPDATE account SET state = CASE WHEN $2 THEN 'locked' ELSE 'active' END"
                        " WHERE user_id = $1 AND state <> 'deactivated'"
};
static const CmSql sql_set_suspended = { "account_set_suspended",
                                         "UPDATE account SET suspended = $2"
                                         " WHERE user_id = $1 AND state <> 'deactivated'" };
static const CmSql sql_set_admin = { "account_set_admin",
                                     "UPDATE account SET admin = $2 WHERE user_id = $1" };
static const CmSql sql_set_external_id = {
  "account_set_external_id", "UPDATE account SET external_id = $2 WHERE user_id = $1"
};
static const CmSql sql_end = {
  "account_end", "UPDATE account SET state = 'deactivated', password_hash = NULL,"
                 " external_id = NULL, admin = false, erased = erased OR $2 WHERE user_id = $1"
};
/* What goes with the account at once. The rest has news for others, and is left by the node. */
static const CmSql sql_end_parts[] = {
  { "account_end_openid_tokens", "DELETE FROM openid_token WHERE user_id = $1" },
  { "account_end_pushers", "DELETE FROM pusher WHERE user_id = $1" },
  { "account_end_threepids", "DELETE FROM threepid WHERE user_id = $1" },
};
static const CmSql sql_erase_parts[] = {
  { "account_erase_profile", "DELETE FROM profile WHERE user_id = $1" },
  { "account_erase_data", "DELETE FROM account_data WHERE user_id = $1" },
};
static const CmSql sql_erased = { "account_erased", "SELECT sym FROM account WHERE erased" };
static const CmSql sql_unfinished = {
  "account_unfinished", "SELECT user_id FROM account a WHERE state = 'deactivated' AND ("
                        "EXISTS (SELECT 1 FROM device d WHERE d.user_id = a.user_id)"
                        " OR EXISTS (SELECT 1 FROM member m"
                        "  WHERE m.user_id = a.sym AND m.membership IN ('join', 'invite', 'knock'))"
                        " OR EXISTS (SELECT 1 FROM outside_membership o"
                        "  WHERE o.user_id = a.sym AND o.membership <> 'leave'))"
};
static const CmSql sql_threepid_add = {
  "threepid_add", "INSERT INTO threepid (medium, address, user_id, validated_ts, added_ts)"
                  " VALUES ($1, $2, $3, $4, $4) ON CONFLICT DO NOTHING"
};
static const CmSql sql_threepid_owner = {
  "threepid_owner", "SELECT user_id FROM threepid WHERE medium = $1 AND address = $2"
};
static const CmSql sql_threepid_list = {
  "threepid_list", "SELECT medium, address, validated_ts, added_ts FROM threepid"
                   " WHERE user_id = $1 ORDER BY medium, address"
};

void
cm_account_free (CmAccount *account)
{
  if (!account)
    return;
  g_free (account->user_id);
  g_free (account->password_hash);
  g_free (account->external_id);
  g_free (account);
}

void
cm_threepid_free (CmThreepid *threepid)
{
  if (!threepid)
    return;
  g_free (threepid->medium);
  g_free (threepid->address);
  g_free (threepid);
}

const char *
cm_account_origin_text (CmAccountOrigin origin)
{
  return origins[origin];
}

/* A text that this program does not know is read as the least of rights. */
CmAccountOrigin
cm_account_origin_from_text (const char *text)
{
  for (gsize i = 0; i < G_N_ELEMENTS (origins); i++) {
    if (g_strcmp0 (text, origins[i]) == 0)
      return (CmAccountOrigin) i;
  }
  return CM_ORIGIN_SERVICE;
}

const char *
cm_account_state_text (CmAccountState state)
{
  return states[state];
}

CmAccountState
cm_account_state_of (const char *text, gboolean suspended)
{
  if (g_strcmp0 (text, states[CM_ACCOUNT_ACTIVE]) == 0)
    return suspended ? CM_ACCOUNT_SUSPENDED : CM_ACCOUNT_ACTIVE;
  /* A text that this program does not know is read as the least of rights. */
  return g_strcmp0 (text, states[CM_ACCOUNT_LOCKED]) == 0 ? CM_ACCOUNT_LOCKED
                                                          : CM_ACCOUNT_DEACTIVATED;
}

static CmAccount *
account_of (const CmRows *rows, gsize row)
{
  CmAccount *account = g_new0 (CmAccount, 1);
  account->user_id = g_strdup (cm_rows_text (rows, row, 0));
  account->sym = cm_rows_integer (rows, row, 1);
  account->origin = cm_account_origin_from_text (cm_rows_text (rows, row, 2));
  account->suspended = cm_rows_boolean (rows, row, 9);
  account->state = cm_account_state_of (cm_rows_text (rows, row, 3), account->suspended);
  account->locked = account->state == CM_ACCOUNT_LOCKED;
  account->admin = cm_rows_boolean (rows, row, 4);
  account->erased = cm_rows_boolean (rows, row, 5);
  account->password_hash = g_strdup (cm_rows_text (rows, row, 6));
  account->external_id = g_strdup (cm_rows_text (rows, row, 7));
  account->created_ts = cm_rows_integer (rows, row, 8);
  return account;
}

gboolean
cm_account_insert (CmDb *db, const CmAccount *account, GError **error)
{
  g_autoptr (GError) failure = NULL;
  if (cm_db_run (db, &sql_insert,
                 CM_ARGS (CM_TEXT (account->user_id), CM_INT (account->sym),
                          CM_TEXT (origins[account->origin]), CM_TEXT (states[account->state]),
                          CM_BOOL (account->admin), CM_BOOL (account->erased),
                          CM_TEXT (account->password_hash), CM_TEXT (account->external_id),
                          CM_INT (account->created_ts)),
                 NULL, &failure))
    return TRUE;
  if (g_error_matches (failure, CM_ERROR, CM_ERROR_CONFLICT)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_USER_IN_USE, "This user name is taken");
    return FALSE;
  }
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

static CmAccount *
get_by (CmDb *db, const CmSql *sql, const char *user_id, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, sql, CM_ARGS (CM_TEXT (user_id)), error);
  return rows && cm_rows_count (rows) > 0 ? account_of (rows, 0) : NULL;
}

CmAccount *
cm_account_get (CmDb *db, const char *user_id, GError **error)
{
  return get_by (db, &sql_get, user_id, error);
}

CmAccount *
cm_account_get_external (CmDb *db, CmAccountOrigin origin, const char *external_id, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (
      db, &sql_get_external, CM_ARGS (CM_TEXT (origins[origin]), CM_TEXT (external_id)), error);
  return rows && cm_rows_count (rows) > 0 ? account_of (rows, 0) : NULL;
}

CmAccount *
cm_account_lock (CmDb *db, const char *user_id, GError **error)
{
  return get_by (db, &sql_lock, user_id, error);
}

GPtrArray *
cm_account_list (CmDb *db, const char *after, gint64 limit, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &sql_list, CM_ARGS (CM_TEXT (after), CM_INT (limit)), error);
  if (!rows)
    return NULL;
  GPtrArray *accounts = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_account_free);
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_ptr_array_add (accounts, account_of (rows, i));
  return accounts;
}

static gboolean
set (CmDb *db, const CmSql *sql, const CmParam *params, gsize n_params, GError **error)
{
  gint64 affected = 0;
  if (!cm_db_run (db, sql, params, n_params, &affected, error))
    return FALSE;
  if (affected > 0)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such account");
  return FALSE;
}

gboolean
cm_account_set_password (CmDb *db, const char *user_id, const char *hash, GError **error)
{
  return set (db, &sql_set_password, CM_ARGS (CM_TEXT (user_id), CM_TEXT (hash)), error);
}

gboolean
cm_account_promote (CmDb *db, const char *user_id, const char *hash, GError **error)
{
  return set (db, &sql_promote, CM_ARGS (CM_TEXT (user_id), CM_TEXT (hash)), error);
}

void
cm_account_write_password (CmWrite *write, const char *user_id, const char *hash)
{
  cm_write_add_fenced (write, &sql_set_password, CM_ARGS (CM_TEXT (user_id), CM_TEXT (hash)));
}

gboolean
cm_account_set_locked (CmDb *db, const char *user_id, gboolean locked, GError **error)
{
  return set (db, &sql_set_locked, CM_ARGS (CM_TEXT (user_id), CM_BOOL (locked)), error);
}

gboolean
cm_account_set_suspended (CmDb *db, const char *user_id, gboolean suspended, GError **error)
{
  return set (db, &sql_set_suspended, CM_ARGS (CM_TEXT (user_id), CM_BOOL (suspended)), error);
}

gboolean
cm_account_set_admin (CmDb *db, const char *user_id, gboolean admin, GError **error)
{
  return set (db, &sql_set_admin, CM_ARGS (CM_TEXT (user_id), CM_BOOL (admin)), error);
}

gboolean
cm_account_set_external_id (CmDb *db, const char *user_id, const char *id, GError **error)
{
  return set (db, &sql_set_external_id, CM_ARGS (CM_TEXT (user_id), CM_TEXT (id)), error);
}

static gboolean
run_all (CmDb *db, const CmSql *statements, gsize n, const char *user_id, GError **error)
{
  for (gsize i = 0; i < n; i++) {
    if (!cm_db_run (db, &statements[i], CM_ARGS (CM_TEXT (user_id)), NULL, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
cm_account_end (CmDb *db, const char *user_id, gboolean erase, GError **error)
{
  g_autoptr (CmTransaction) transaction = cm_transaction_begin (db, error);
  if (!transaction)
    return FALSE;
  if (!set (db, &sql_end, CM_ARGS (CM_TEXT (user_id), CM_BOOL (erase)), error) ||
      !cm_token_delete_user (db, user_id, error) ||
      !run_all (db, sql_end_parts, G_N_ELEMENTS (sql_end_parts), user_id, error))
    return FALSE;
  if (erase && !run_all (db, sql_erase_parts, G_N_ELEMENTS (sql_erase_parts), user_id, error))
    return FALSE;
  return cm_transaction_commit (transaction, error);
}

GArray *
cm_account_erased (CmDb *db, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &sql_erased, NULL, 0, error);
  if (!rows)
    return NULL;
  GArray *syms = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    gint64 sym = cm_rows_integer (rows, i, 0);
    g_array_append_val (syms, sym);
  }
  return syms;
}

GPtrArray *
cm_account_unfinished (CmDb *db, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &sql_unfinished, CM_NO_ARGS, error);
  if (!rows)
    return NULL;
  GPtrArray *users = g_ptr_array_new_with_free_func (g_free);
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_ptr_array_add (users, g_strdup (cm_rows_text (rows, i, 0)));
  return users;
}

gboolean
cm_threepid_add (CmDb *db, const char *user_id, const char *medium, const char *address, gint64 now,
                 GError **error)
{
  return cm_db_run (db, &sql_threepid_add,
                    CM_ARGS (CM_TEXT (medium), CM_TEXT (address), CM_TEXT (user_id), CM_INT (now)),
                    NULL, error);
}

char *
cm_threepid_owner (CmDb *db, const char *medium, const char *address, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &sql_threepid_owner, CM_ARGS (CM_TEXT (medium), CM_TEXT (address)), error);
  return rows && cm_rows_count (rows) > 0 ? g_strdup (cm_rows_text (rows, 0, 0)) : NULL;
}

GPtrArray *
cm_threepid_list (CmDb *db, const char *user_id, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &sql_threepid_list, CM_ARGS (CM_TEXT (user_id)), error);
  if (!rows)
    return NULL;
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_threepid_free);
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    CmThreepid *threepid = g_new0 (CmThreepid, 1);
    threepid->medium = g_strdup (cm_rows_text (rows, i, 0));
    threepid->address = g_strdup (cm_rows_text (rows, i, 1));
    threepid->validated_ts = cm_rows_integer (rows, i, 2);
    threepid->added_ts = cm_rows_integer (rows, i, 3);
    g_ptr_array_add (list, threepid);
  }
  return list;
}
