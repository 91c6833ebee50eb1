#include "server/accounts/accounts-private.h"

#include "crypto/hash.h"
#include "schema/token.h"

#include <string.h>

#define SEEN_EVERY_S 60

#define V3 "/_matrix/client/v3"

/* What a suspended account may do beside reading and logging out (client-server, "Account
 * suspension"). */
static const struct {
  const char *method;
  const char *path;
} suspended_may[] = {
  { "POST", V3 "/rooms/{roomId}/leave" },
  { "PUT", V3 "/rooms/{roomId}/redact/{eventId}/{txnId}" }, /* its own events */
  { "POST", V3 "/rooms/{roomId}/receipt/{receiptType}/{eventId}" },
  { "POST", V3 "/rooms/{roomId}/read_markers" },
  { "PUT", V3 "/sendToDevice/{eventType}/{txnId}" },
  { "POST", V3 "/keys/upload" },
  { "POST", V3 "/keys/query" },
  { "POST", V3 "/keys/claim" },
  { "POST", V3 "/keys/signatures/upload" },
  { "POST", V3 "/keys/device_signing/upload" },
  { "POST", V3 "/room_keys/version" },
  { "PUT", V3 "/room_keys/version/{version}" },
  { "PUT", V3 "/room_keys/keys" },
  { "PUT", V3 "/room_keys/keys/{roomId}" },
  { "PUT", V3 "/room_keys/keys/{roomId}/{sessionId}" },
  { "DELETE", V3 "/devices/{deviceId}" },
  { "POST", V3 "/delete_devices" },
  { "POST", V3 "/account/deactivate" },
  { "POST", V3 "/account/password" },
  { "POST", V3 "/user/{userId}/filter" },
};

static CmSession *
session_of (const CmToken *token, const char *hash)
{
  CmSession *session = cm_session_new ();
  session->hash = g_strdup (hash);
  session->user_id = g_strdup (token->user_id);
  session->device_id = g_strdup (token->device_id);
  session->user = token->user;
  session->token = token->id;
  session->expires_ts = token->expires_ts;
  session->state = token->state;
  session->guest = token->origin == CM_ORIGIN_GUEST;
  session->admin = token->admin;
  return session;
}

static CmSession *
load_session (CmNode *node, const char *hash, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (!db)
    return NULL;
  g_autoptr (CmToken) token = cm_token_find (db, hash, &failure);
  if (failure) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  if (!token) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNKNOWN_TOKEN, "Unknown access token");
    return NULL;
  }
  if (token->refresh != 0 && !token->used && !cm_token_first_use (db, token, error))
    return NULL;
  return session_of (token, hash);
}

static CmSession *
find_session (CmNode *node, const char *token, GError **error)
{
  g_autofree char *hash = cm_token_hash (token);
  guint64 epoch;
  CmSession *session = cm_session_cache_find (node->accounts->sessions, hash, &epoch);
  if (session)
    return session;
  session = load_session (node, hash, error);
  if (session)
    cm_session_cache_add (node->accounts->sessions, session, epoch);
  return session;
}

static gboolean
refuse (GError **error, CmError code, const char *message)
{
  g_set_error_literal (error, CM_ERROR, code, message);
  return FALSE;
}

static gboolean
suspended_may_call (const CmCall *call)
{
  const char *path = cm_call_route (call)->path;
  const char *method = cm_call_method (call);
  if (strcmp (method, "GET") == 0 || strcmp (method, "HEAD") == 0)
    return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (suspended_may); i++) {
    if (strcmp (path, suspended_may[i].path) == 0 && strcmp (method, suspended_may[i].method) == 0)
      return TRUE;
  }
  return FALSE;
}

static gboolean
check_state (const CmSession *session, const CmCall *call, CmAuth auth, GError **error)
{
  if (session->state == CM_ACCOUNT_DEACTIVATED)
    return refuse (error, CM_ERROR_UNKNOWN_TOKEN, "This account has been deactivated");
  if (auth == CM_AUTH_TOKEN_LOCKED)
    return TRUE;
  if (session->state == CM_ACCOUNT_LOCKED)
    return refuse (error, CM_ERROR_USER_LOCKED, "This account has been locked");
  if (session->state == CM_ACCOUNT_SUSPENDED && !suspended_may_call (call))
    return refuse (error, CM_ERROR_USER_SUSPENDED, "This account has been suspended");
  return TRUE;
}

static gboolean
check_session (const CmSession *session, const CmCall *call, CmAuth auth, GError **error)
{
  if (session->expires_ts != 0 && session->expires_ts <= cm_now_ms ())
    return refuse (error, CM_ERROR_SOFT_LOGOUT, "The access token has expired");
  if (!check_state (session, call, auth, error))
    return FALSE;
  if (session->guest && auth == CM_AUTH_TOKEN)
    return refuse (error, CM_ERROR_GUEST_ACCESS_FORBIDDEN, "Guests may not do this");
  if (auth == CM_AUTH_APPSERVICE)
    return refuse (error, CM_ERROR_FORBIDDEN, "This is for application services");
  if (auth == CM_AUTH_ADMIN && !session->admin)
    return refuse (error, CM_ERROR_FORBIDDEN, "This is for administrators");
  return TRUE;
}

static void
note_seen (CmAccounts *accounts, CmSession *session, const CmCall *call)
{
  gint now = (gint) (g_get_real_time () / G_USEC_PER_SEC);
  gint before = g_atomic_int_get (&session->seen);
  if (now - before < SEEN_EVERY_S ||
      !g_atomic_int_compare_and_exchange (&session->seen, before, now))
    return;
  cm_last_seen_note (accounts->seen, session->user_id, session->device_id, cm_call_address (call),
                     cm_call_header (call, "User-Agent"));
}

CmRequester *
cm_accounts_authenticate (CmNode *node, CmCall *call, const char *token, CmAuth auth,
                          GError **error)
{
  g_autoptr (CmSession) session = find_session (node, token, error);
  if (!session || !check_session (session, call, auth, error))
    return NULL;
  note_seen (node->accounts, session, call);
  CmRequester *requester = g_new0 (CmRequester, 1);
  requester->user_id = g_strdup (session->user_id);
  requester->device_id = g_strdup (session->device_id);
  requester->user = session->user;
  requester->token = session->token;
  requester->guest = session->guest;
  requester->admin = session->admin;
  requester->suspended = session->state == CM_ACCOUNT_SUSPENDED;
  return requester;
}

char *
cm_accounts_guest (CmNode *node, const char *token, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmSession) session = find_session (node, token, &failure);
  if (failure && !g_error_matches (failure, CM_ERROR, CM_ERROR_UNKNOWN_TOKEN)) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  gboolean good = session && session->guest && session->state == CM_ACCOUNT_ACTIVE &&
                  (session->expires_ts == 0 || session->expires_ts > cm_now_ms ());
  if (!good)
    refuse (error, CM_ERROR_FORBIDDEN, "guest_access_token is no guest's");
  return good ? g_strdup (session->user_id) : NULL;
}
