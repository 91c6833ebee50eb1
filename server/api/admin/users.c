/* Accounts for administrators, in the shapes that Synapse's tools know. */
#include "crypto/password.h"
#include "server/accounts/accounts.h"
#include "server/accounts/deactivate.h"
#include "server/accounts/manage.h"
#include "server/accounts/profile.h"
#include "server/api/admin/target.h"
#include "server/api/body.h"
#include "server/config/config.h"
#include "server/routes.h"

#include <string.h>

#define MAX_NAME 256
#define PAGE     100
#define MAX_PAGE 1000

static void
put_account (CmJsonWriter *writer, const CmAccount *account)
{
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "name", account->user_id);
  cm_json_put_text (writer, "origin", cm_account_origin_text (account->origin));
  cm_json_put_boolean (writer, "admin", account->admin);
  cm_json_put_boolean (writer, "is_guest", account->origin == CM_ORIGIN_GUEST);
  cm_json_put_boolean (writer, "deactivated", account->state == CM_ACCOUNT_DEACTIVATED);
  cm_json_put_boolean (writer, "erased", account->erased);
  cm_json_put_boolean (writer, "locked", account->locked);
  cm_json_put_boolean (writer, "suspended", account->suspended);
  cm_json_put_integer (writer, "creation_ts", account->created_ts);
  cm_json_close (writer);
}

static CmReply *
show (const CmAccount *account, unsigned status)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  put_account (writer, account);
  return cm_reply_json_status (status, writer);
}

/* GET /_synapse/admin/v2/users/{userId} */
static CmReply *
get_user (CmCall *call, GError **error)
{
  g_autoptr (CmAccount) account = cm_call_account (call, TRUE, error);
  return account ? show (account, 200) : NULL;
}

/* GET /_synapse/admin/v2/users: pages by "from", the last user id of the page before. */
static CmReply *
list_users (CmCall *call, GError **error)
{
  const char *from = cm_call_query (call, "from");
  gint64 limit;
  if (!cm_call_query_integer (call, "limit", PAGE, 1, MAX_PAGE, &limit, error))
    return NULL;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  g_autoptr (GPtrArray) page = db ? cm_account_list (db, from ? from : "", limit, error) : NULL;
  if (!page)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "users");
  for (guint i = 0; i < page->len; i++)
    put_account (writer, page->pdata[i]);
  cm_json_close (writer);
  if (page->len == limit)
    cm_json_put_text (writer, "next_token",
                      ((const CmAccount *) page->pdata[page->len - 1])->user_id);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* --- Making and changing --- */

/* What a PUT says; a member that is absent changes nothing. */
typedef struct {
  const CmJson *body;
  const char *password;
  const char *display_name;
  gboolean admin;
  gboolean locked;
  gboolean suspended;
  gboolean deactivated;
  gboolean logout_devices;
} Wish;

static gboolean
says (const Wish *wish, const char *key)
{
  return cm_json_get (wish->body, key) != NULL;
}

static gboolean
read_wish (const CmJson *body, Wish *wish, GError **error)
{
  wish->body = body;
  return cm_body_text (body, "password", CM_PASSWORD_MAX_BYTES, &wish->password, error) &&
         cm_body_text (body, "displayname", MAX_NAME, &wish->display_name, error) &&
         cm_body_boolean (body, "admin", FALSE, &wish->admin, error) &&
         cm_body_boolean (body, "locked", FALSE, &wish->locked, error) &&
         cm_body_boolean (body, "suspended", FALSE, &wish->suspended, error) &&
         cm_body_boolean (body, "deactivated", FALSE, &wish->deactivated, error) &&
         cm_body_boolean (body, "logout_devices", TRUE, &wish->logout_devices, error);
}

static gboolean
set_password (CmNode *node, const CmAccount *account, const char *password, gboolean logout,
              GError **error)
{
  if (account->origin != CM_ORIGIN_LOCAL || account->state == CM_ACCOUNT_DEACTIVATED) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN,
                         "This account has no password of its own");
    return FALSE;
  }
  g_autofree char *hash = cm_password_hash (password, node->config->accounts.password_cost, error);
  return hash && cm_accounts_change_password (node, account->user_id, hash, logout, NULL, error);
}

/* Nobody takes his own rights away by mistake. */
static gboolean
check_self (const CmCall *call, const CmAccount *account, const Wish *wish, GError **error)
{
  gboolean self = strcmp (account->user_id, cm_call_user (call)) == 0;
  gboolean harms = (says (wish, "admin") && !wish->admin) || wish->locked || wish->suspended ||
                   wish->deactivated;
  if (!self || !harms)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "Not to oneself");
  return FALSE;
}

static gboolean
apply_wish (CmCall *call, const CmAccount *account, const Wish *wish, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *user_id = account->user_id;
  const CmJson *name = cm_json_get (wish->body, "displayname");

  if (!check_self (call, account, wish, error) ||
      (wish->password &&
       !set_password (node, account, wish->password, wish->logout_devices, error)) ||
      (name && !cm_profile_set (node, user_id, "displayname", name, error)) ||
      (says (wish, "admin") && !cm_accounts_set_admin (node, user_id, wish->admin, error)) ||
      (says (wish, "locked") && !cm_accounts_set_locked (node, user_id, wish->locked, error)) ||
      (says (wish, "suspended") &&
       !cm_accounts_set_suspended (node, user_id, wish->suspended, error)))
    return FALSE;
  return !wish->deactivated || cm_accounts_deactivate (node, user_id, FALSE, error);
}

static gboolean
create (CmNode *node, const char *user_id, const Wish *wish, GError **error)
{
  g_autofree char *hash = NULL;
  if (!cm_accounts_check_free (node, user_id, error))
    return FALSE;
  if (wish->password) {
    hash = cm_password_hash (wish->password, node->config->accounts.password_cost, error);
    if (!hash)
      return FALSE;
  }
  const CmNewAccount account = { .user_id = user_id,
                                 .origin = CM_ORIGIN_LOCAL,
                                 .password_hash = hash,
                                 .display_name = wish->display_name,
                                 .admin = wish->admin };
  return cm_accounts_create (node, &account, error);
}

static CmReply *
show_again (CmCall *call, unsigned status, GError **error)
{
  g_autoptr (CmAccount) account = cm_call_account (call, TRUE, error);
  return account ? show (account, status) : NULL;
}

/* PUT /_synapse/admin/v2/users/{userId} */
static CmReply *
put_user (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (GError) failure = NULL;
  Wish wish = { 0 };
  if (!read_wish (cm_call_json (call), &wish, error))
    return NULL;
  g_autoptr (CmAccount) account = cm_call_account (call, TRUE, &failure);
  if (account)
    return apply_wish (call, account, &wish, error) ? show_again (call, 200, error) : NULL;
  if (!g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND)) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  g_autofree char *user_id = cm_accounts_user_id (node, cm_call_param (call, "userId"), error);
  if (!user_id || !create (node, user_id, &wish, error))
    return NULL;
  return show_again (call, 201, error);
}

/* POST /_synapse/admin/v1/deactivate/{userId} */
static CmReply *
deactivate (CmCall *call, GError **error)
{
  gboolean erase;
  const Wish wish = { .body = cm_call_json (call), .deactivated = TRUE };
  g_autoptr (CmAccount) account = cm_call_account (call, TRUE, error);
  if (!account || !cm_body_boolean (wish.body, "erase", FALSE, &erase, error) ||
      !check_self (call, account, &wish, error) ||
      !cm_accounts_deactivate (cm_call_node (call), account->user_id, erase, error))
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "id_server_unbind_result", "success");
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* POST /_synapse/admin/v1/reset_password/{userId} */
static CmReply *
reset_password (CmCall *call, GError **error)
{
  const CmJson *body = cm_call_json (call);
  const char *password;
  gboolean logout;
  g_autoptr (CmAccount) account = cm_call_account (call, FALSE, error);
  if (!account ||
      !cm_body_need_text (body, "new_password", CM_PASSWORD_MAX_BYTES, &password, error) ||
      !cm_body_boolean (body, "logout_devices", TRUE, &logout, error) ||
      !set_password (cm_call_node (call), account, password, logout, error))
    return NULL;
  return cm_reply_empty ();
}

#define READ  CM_AUTH_ADMIN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE
#define WRITE CM_AUTH_ADMIN, CM_LIMIT_SEND, CM_LANE_BLOCKING

const CmRoute cm_routes_admin_users[] = {
  { "GET", "/_synapse/admin/v2/users", READ, list_users },
  { "GET", "/_synapse/admin/v2/users/{userId}", READ, get_user },
  { "PUT", "/_synapse/admin/v2/users/{userId}", WRITE, CM_BODY_JSON, put_user },
  { "POST", "/_synapse/admin/v1/deactivate/{userId}", WRITE, CM_BODY_JSON_OPTIONAL, deactivate },
  { "POST", "/_synapse/admin/v1/reset_password/{userId}", WRITE, CM_BODY_JSON, reset_password },
  CM_ROUTES_END,
};
