#include "server/accounts/uia.h"

#include "crypto/base64.h"
#include "crypto/hash.h"
#include "crypto/vault.h"
#include "server/accounts/accounts-private.h"
#include "server/accounts/sign-in.h"

#include <string.h>

#define SESSION_MS  (60 * 60 * 1000)
#define SEALED_FOR  "user-interactive authentication"
#define MAX_SESSION 255

/* What a session word holds. */
typedef struct {
  gint64 made_ts;
  guint8 binding[CM_SHA256_SIZE];
} Session;

typedef struct {
  const char *stage; /* each flow has one */
  /* TRUE, or FALSE with @error, or FALSE with *@challenge. */
  gboolean (*prove) (CmCall *call, const CmJson *auth, CmReply **challenge, GError **error);
} Flow;

/* --- Sessions --- */

static void
hash_text (GChecksum *sum, const char *text, gssize length)
{
  g_checksum_update (sum, (const guchar *) text, length);
  g_checksum_update (sum, (const guchar *) "", 1);
}

/* Who asks for what: another user, method, path or body is another request. */
static void
bind_call (const CmCall *call, guint8 binding[CM_SHA256_SIZE])
{
  static const char *const without[] = { "auth", NULL };
  const char *user = cm_call_user (call);
  const char *target = cm_call_target (call);
  g_autoptr (GBytes) body = cm_json_canonical_lenient (cm_call_json (call), without);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize size = CM_SHA256_SIZE;

  hash_text (sum, user ? user : "", -1);
  hash_text (sum, cm_call_method (call), -1);
  hash_text (sum, target, (gssize) strcspn (target, "?"));
  hash_text (sum, g_bytes_get_data (body, NULL), (gssize) g_bytes_get_size (body));
  g_checksum_get_digest (sum, binding, &size);
}

/* (transfer full) a word for @call; NULL with @error. */
static char *
make_session (const CmCall *call, GError **error)
{
  Session session = { .made_ts = cm_now_ms () };
  bind_call (call, session.binding);
  g_autoptr (GBytes) sealed =
      cm_vault_seal (cm_call_node (call)->vault, SEALED_FOR, &session, sizeof session, error);
  if (!sealed)
    return NULL;
  return cm_base64url_encode (g_bytes_get_data (sealed, NULL), g_bytes_get_size (sealed));
}

static gboolean
is_session_of (const CmCall *call, const char *word)
{
  g_autoptr (GBytes) sealed =
      strlen (word) <= MAX_SESSION ? cm_base64url_decode (word, NULL) : NULL;
  g_autoptr (GBytes) opened =
      sealed ? cm_vault_open (cm_call_node (call)->vault, SEALED_FOR, sealed, NULL) : NULL;
  Session session;
  guint8 binding[CM_SHA256_SIZE];

  if (!opened || g_bytes_get_size (opened) != sizeof session)
    return FALSE;
  memcpy (&session, g_bytes_get_data (opened, NULL), sizeof session);
  bind_call (call, binding);
  return memcmp (session.binding, binding, sizeof binding) == 0 &&
         cm_now_ms () - session.made_ts < SESSION_MS;
}

/* --- Stages --- */

static gboolean
prove_nothing (CmCall *call, const CmJson *auth, CmReply **challenge, GError **error)
{
  return TRUE;
}

static gboolean
prove_password (CmCall *call, const CmJson *auth, CmReply **challenge, GError **error)
{
  g_autofree char *user_id = cm_sign_in_name (cm_call_node (call), auth, error);
  if (!user_id)
    return FALSE;
  if (strcmp (user_id, cm_call_user (call)) == 0) {
    g_autoptr (CmAccount) account = cm_sign_in_password (call, user_id, auth, challenge, error);
    return account != NULL;
  }
  /* No challenge: no other proof of that user could ever do. */
  *challenge = cm_reply_error_status (403, cm_error_errcode (CM_ERROR_FORBIDDEN),
                                      "This is another user's account");
  return FALSE;
}

static const Flow flows[] = {
  [CM_UIA_ANYBODY] = { "m.login.dummy", prove_nothing },
  [CM_UIA_OWNER] = { "m.login.password", prove_password },
};

/* --- The conversation --- */

/* (transfer full) the 401; @errcode NULL when nothing went wrong yet. A good session is kept, so
 * that clients need not start anew. */
static CmReply *
make_challenge (const CmCall *call, const Flow *flow, const char *session, const char *errcode,
                const char *message, GError **error)
{
  g_autofree char *word = session ? g_strdup (session) : make_session (call, error);
  if (!word)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "errcode", errcode);
  cm_json_put_text (writer, "error", message);
  cm_json_put_text (writer, "session", word);
  cm_json_open_array (writer, "completed");
  cm_json_close (writer);
  cm_json_open_object (writer, "params");
  cm_json_close (writer);
  cm_json_open_array (writer, "flows");
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "stages");
  cm_json_put_text (writer, NULL, flow->stage);
  cm_json_close (writer);
  cm_json_close (writer);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json_status (401, writer);
}

gboolean
cm_uia_check (CmCall *call, CmUiaProof proof, CmReply **challenge, GError **error)
{
  g_autoptr (GError) failure = NULL;
  const Flow *flow = &flows[proof];
  const CmJson *auth = cm_json_get (cm_call_json (call), "auth");
  const char *stage = cm_json_get_text (auth, "type");
  const char *session = cm_json_get_text (auth, "session");
  const char *errcode = NULL;
  const char *message = NULL;

  if (auth && cm_json_type (auth) != CM_JSON_OBJECT) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON, "auth must be an object");
    return FALSE;
  }
  if (session && !is_session_of (call, session)) {
    session = NULL;
    errcode = "M_UNKNOWN";
    message = "This session is for another request, or too old";
  } else if (stage && strcmp (stage, flow->stage) != 0) {
    errcode = "M_UNRECOGNIZED";
    message = "This kind of proof is not asked for";
  } else if (stage) {
    if (flow->prove (call, auth, challenge, &failure))
      return TRUE;
    if (*challenge)
      return FALSE;
    if (!g_error_matches (failure, CM_ERROR, CM_ERROR_FORBIDDEN)) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
    errcode = cm_error_errcode (CM_ERROR_FORBIDDEN);
    message = failure->message;
  }
  *challenge = make_challenge (call, flow, session, errcode, message, error);
  return FALSE;
}
